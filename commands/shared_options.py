"""Command line options that several commands share, one by one: type and help of each. Defaults are in the commands.

See `record_options.py` for options made from the fields of a record.
"""

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from stream.errors import UsageError
from stream.records.choosers import chooser_names
from stream.records.engines import AUTO, ENGINES, implied_by, names, offered, taking
from stream.records.formats import NAMES
from stream.records.metadata import Metadata
from stream.records.options import BACKGROUND_SPECS, FacePart, Temporal, View
from stream.records.subjects import SUBJECT_SPEC

if TYPE_CHECKING:
    from stream.settings import Settings


def _for(option: str) -> str:
    """The start of an option's help: the engines that support it."""
    return f"{', '.join(taking(option))}:"


Outputs = Annotated[
    list[str],
    typer.Option(
        "-o",
        "--output",
        metavar="OUT[:NAME+...]",
        help=f"The output; its name sets the format: {NAMES}. :NAME: only these subjects; {{subject}} in OUT: one "
        "output for each subject. Repeatable.",
    ),
]
Overwrite = Annotated[bool, typer.Option("-y", "--overwrite", help="Replace an existing output without asking.")]
SaveRows = Annotated[
    Path | None, typer.Option("--save", metavar="FILE", help="Also write the rows to this file, as JSON.")
]
Slate = Annotated[
    str, typer.Option(metavar="TEXT", help="A line of text over the background while the source is away.")
]
Background = Annotated[str, typer.Option(metavar="SPEC", help=f"The new background: {BACKGROUND_SPECS}.")]
Engine = Annotated[str, typer.Option(metavar="NAME", help=f"The engine: {', '.join(names())}.")]
Subjects = Annotated[
    list[str] | None,
    typer.Option(
        "--subject",
        metavar="SPEC",
        help=f"A subject: {SUBJECT_SPEC}; not: removes what the prompt finds. Repeatable.",
    ),
]
Hint = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="A rough mask of the subject, a picture or a video: short for --subject mask:FILE."
    ),
]
Chooser = Annotated[str, typer.Option(metavar="NAME", help=f"What finds --subject: {', '.join(chooser_names())}.")]
Shown = Annotated[View, typer.Option(help="What the output shows.")]
Steadied = Annotated[Temporal, typer.Option(help="Temporal smoothing of the matte.")]
Strength = Annotated[float, typer.Option(min=0.0, max=1.0, help="Strength of --temporal; 0 turns it off.")]
Weights = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=f"{_for('weights')} a name, repo id, .safetensors or .onnx file; @WxH sets the input size.",
    ),
]
Roi = Annotated[
    bool,
    typer.Option(
        "--roi/--no-roi",
        help=f"{_for('roi')} process only the area around the subject, and regularly the whole picture.",
    ),
]
Keep = Annotated[
    str,
    typer.Option(
        metavar="PART,...",
        help=f"Add these where the matte has lost them around a face: {', '.join(get_args(FacePart))}.",
    ),
]
Foreground = Annotated[
    str,
    typer.Option(
        metavar="HOW", help="The subject's colours at soft edges: auto, estimate (without the old background), keep."
    ),
]
Key = Annotated[
    str | None,
    typer.Option(metavar="#RRGGBB", help=f"{_for('key')} the colour of the screen; by default it is measured."),
]
Start = Annotated[str, typer.Option(metavar="S", help="Where to start: seconds or h:mm:ss.")]
End = Annotated[str | None, typer.Option(metavar="S", help="Where to stop; by default at the end.")]
Stream = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="N",
        help="Number of the video stream to use, from 0, cover art not counted; by default the best stream.",
    ),
]
Size = Annotated[
    str | None, typer.Option(metavar="WxH", help="Scale to this size; 1280x or x720 keeps the aspect ratio.")
]
MetadataOption = Annotated[
    Metadata | None,
    typer.Option(
        help="What to keep of dates, titles, chapters, attachments, data tracks and EXIF data. "
        "By default everything; jobs on a server leave out locations by default."
    ),
]


class MissingFiles(StrEnum):
    """What to do where files of a picture sequence are missing."""

    REFUSE = "refuse"
    HOLD = "hold"


class AlphaKind(StrEnum):
    """Whether colours are multiplied by alpha."""

    STRAIGHT = "straight"
    PREMULTIPLIED = "premultiplied"


class BitDepth(StrEnum):
    """Bits per channel."""

    EIGHT = "8"
    SIXTEEN = "16"


Rate = Annotated[
    str | None,
    typer.Option(metavar="FPS", help="Picture sequences: frames per second, such as 25 or 24000/1001; default 24."),
]
Missing = Annotated[
    MissingFiles,
    typer.Option(help="Picture sequences with gaps: an error, or repeat the frame before each gap."),
]
AlphaOption = Annotated[
    AlphaKind | None,
    typer.Option(
        help="Picture sequences as OUT: colours as they are, or multiplied by alpha; default premultiplied in EXR, "
        "otherwise straight."
    ),
]
Depth = Annotated[
    BitDepth | None,
    typer.Option(help="Picture sequences as OUT: bits per channel of PNG and TIFF; by default those of the input."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Verbose = Annotated[int, typer.Option("-v", "--verbose", count=True, help="Print more messages; twice for all.")]


def local(text: str) -> Path:
    """The path of a local file or folder. Raises UsageError for an address, `-` and empty text."""
    scheme, mark, _ = text.partition("://")
    if mark and scheme.isalnum():
        from stream.sources import listed

        hint = f"use mattebox jobs for http(s)://, mattebox stream for {listed(live=True)}"
        raise UsageError(f"{scheme}:// is not a file name; {hint}")
    check_name(text)
    return Path(text)


def check_name(text: str) -> None:
    """Raise UsageError for `-` and empty text, which are not file names."""
    if text in ("", "-"):
        raise UsageError(f"{text!r} is not a file name")


def parse_seconds(option: str, text: str) -> float:
    """Parse seconds or h:mm:ss. Raises UsageError, which names the option."""
    from stream.picture.timing import parse_time

    try:
        return parse_time(text)
    except UsageError as exc:
        raise UsageError(f"{option}: {exc}") from None


def was_given(context: typer.Context, option: str) -> bool:
    """Whether an option is on the command line; False for a default and for an environment variable. option: the name
    of its parameter."""
    origin = context.get_parameter_source(option)
    return origin is not None and origin.name == "COMMANDLINE"


def parse_size(text: str | None) -> tuple[int, int]:
    """Parse WxH, Wx or xH to (width, height) in pixels, with 0 for a missing side. Raises UsageError."""
    if text is None:
        return 0, 0
    match = re.fullmatch(r"(?=.*[0-9])([1-9][0-9]{0,5})?x([1-9][0-9]{0,5})?", text.lower())
    sides = (0, 0) if match is None else (int(match[1] or 0), int(match[2] or 0))
    if match is None or 1 in sides:
        raise UsageError(f"--size {text!r} is not a size; write 1280x720, 1280x or x720")
    return sides


def engine_with(weights: str | None, engine: str) -> str:
    """The engine to use with these weights: they replace `auto` by the engine that they are for. Raises UsageError."""
    if weights is None or engine != AUTO:
        return engine
    from workers.weights.input_size import split_size
    from workers.weights.known import catalogue

    name, _ = split_size(weights)
    owners = [candidate for candidate in taking("weights") if catalogue(candidate).owns(name)]
    record = implied_by("weights")
    return owners[0] if owners else record.name if record else AUTO


def settings_with(weights: str | None, engine: str) -> "Settings":
    """The settings, with these weights if specified. engine: from `engine_with`.

    Raises UsageError if the engine does not support a choice of weights, or needs one.
    """
    from stream.settings import settings
    from workers.engines import check_known

    if weights is None:
        if engine in ENGINES and engine not in offered(settings()):
            setting = f"MATTEBOX_{engine.upper()}"
            raise UsageError(f"engine: {engine} has no default weights; specify them with --weights or {setting}")
        return settings()
    if engine not in taking("weights"):
        check_known(engine)
        raise UsageError(f"--weights: supported only by {', '.join(taking('weights'))}, not by {engine}")
    return settings().model_copy(update={engine: weights})
