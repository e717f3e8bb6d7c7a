"""What several commands let a user choose: each flag's type and help, said once. Defaults stand in the commands."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream.errors import UsageError
from stream.records.engines import AUTO, implied_by, names, taking
from stream.records.options import BACKGROUND_SPECS, Temporal, View

if TYPE_CHECKING:
    from stream.settings import Settings


def _for(option: str) -> str:
    """The engines that take an option, at the start of its help."""
    return f"{', '.join(taking(option))}:"


Background = Annotated[str, typer.Option(metavar="SPEC", help=f"{BACKGROUND_SPECS}.")]
Engine = Annotated[str, typer.Option(metavar="NAME", help=f"{', '.join(names())}.")]
Shown = Annotated[View, typer.Option(help="What the output shows.")]
Steadied = Annotated[Temporal, typer.Option(help="How masks are steadied over time.")]
Strength = Annotated[float, typer.Option(min=0.0, max=1.0, help="Of --temporal; 0 is none.")]
Weights = Annotated[
    str | None,
    typer.Option(metavar="NAME", help=f"{_for('weights')} a variant, repo id or .safetensors, perhaps @WxH."),
]
Roi = Annotated[
    bool,
    typer.Option("--roi/--no-roi", help=f"{_for('roi')} look where the subject was, at everything now and then."),
]
Foreground = Annotated[
    str,
    typer.Option(metavar="HOW", help="The subject's colours at soft edges: auto, estimate (no old background), keep."),
]
Key = Annotated[str | None, typer.Option(metavar="#RRGGBB", help=f"{_for('key')} the screen's colour.")]
Start = Annotated[str, typer.Option(metavar="S", help="Where to begin: seconds or h:mm:ss.")]
End = Annotated[str | None, typer.Option(metavar="S", help="Where to stop.")]
Size = Annotated[str | None, typer.Option(metavar="WxH", help="Scale to this; 1280x or x720 keeps the shape.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output, for machines.")]
Verbose = Annotated[int, typer.Option("-v", "--verbose", count=True, help="Say more; twice for everything.")]


def local(text: str) -> Path:
    """What names a file here, or a folder. Raises UsageError for an address, for `-` and for nothing."""
    scheme, mark, _ = text.partition("://")
    if mark and scheme.isalnum():
        from stream.sources import listed

        others = f"mattebox jobs takes videos from http(s)://, mattebox stream from {listed(live=True)}"
        raise UsageError(f"{scheme}:// is no name of a file; {others}")
    check_name(text)
    return Path(text)


def check_name(text: str) -> None:
    """Raises UsageError for `-` and for nothing: they name no file."""
    if text in ("", "-"):
        raise UsageError(f"{text!r} is no name of a file")


def parse_size(text: str | None) -> tuple[int, int]:
    """(width, height), 0 for the side that follows from the other. Raises UsageError."""
    if text is None:
        return 0, 0
    match = re.fullmatch(r"(?=.*[0-9])([1-9][0-9]{0,5})?x([1-9][0-9]{0,5})?", text.lower())
    sides = (0, 0) if match is None else (int(match[1] or 0), int(match[2] or 0))
    if match is None or 1 in sides:
        raise UsageError(f"--size {text!r} is no size; write 1280x720, 1280x or x720")
    return sides


def engine_with(weights: str | None, engine: str) -> str:
    """`auto` becomes the engine whose weights may be chosen, where some are named."""
    record = implied_by("weights")
    return record.name if record and engine == AUTO and weights is not None else engine


def settings_with(weights: str | None, engine: str) -> "Settings":
    """What is set, but for these weights if any are named. engine: as `engine_with` gives it. Raises UsageError where
    that has none to choose among."""
    from stream.settings import settings
    from workers.engines import check_known

    if weights is None:
        return settings()
    if engine not in taking("weights"):
        check_known(engine)
        raise UsageError(f"--weights: is for the engine {', '.join(taking('weights'))}, not for {engine}")
    return settings().model_copy(update={engine: weights})
