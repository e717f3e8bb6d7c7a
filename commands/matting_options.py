"""The options of a video, the same for every command that mattes one: `file`, `stream` and `jobs submit`.

An option added to `MattingOptions` or to `Edges` is an option of all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from commands import shared_options
from commands.record_options import with_flags
from commands.shared_options import MissingFiles
from stream.errors import UsageError
from stream.records.engines import AUTO
from stream.records.options import Edges, FeedOptions, Options, Temporal, View
from stream.records.subjects import Prompt, Subject, parse_subjects


@dataclass(frozen=True, kw_only=True)
class MattingOptions:
    """How a video is matted, as the user wrote it. The shape of the matte's edge is in `Edges`."""

    background: shared_options.Background = "green"
    engine: shared_options.Engine = "auto"
    view: shared_options.Shown = View.COMPOSITE
    temporal: shared_options.Steadied = Temporal.AUTO
    strength: shared_options.Strength = 0.7
    roi: shared_options.Roi = False
    foreground: shared_options.Foreground = "auto"
    key: shared_options.Key = None
    keep: shared_options.Keep = ""
    subjects: shared_options.Subjects = None
    hint: shared_options.Hint = None
    chooser: shared_options.Chooser = AUTO
    size: shared_options.Size = None

    def options(self, edges: Edges, weights: str | None = None) -> Options:
        """The options as a record. weights: they replace the engine `auto`. Raises UsageError."""
        return Options.read(**self._fields(edges, weights))

    def feed_options(self, edges: Edges, weights: str | None, slate: str) -> FeedOptions:
        """As `options`, for a source that may be away. Raises UsageError."""
        return FeedOptions.read(**self._fields(edges, weights), slate=slate)

    def _fields(self, edges: Edges, weights: str | None) -> dict[str, Any]:
        specs = self._specs()
        if self.chooser != AUTO and not specs:
            raise UsageError(f"--chooser {self.chooser} needs --subject")
        return {
            "engine": shared_options.engine_with(weights, self.engine),
            "background": self.background,
            "view": self.view,
            "temporal": self.temporal,
            "temporal_strength": self.strength,
            "edges": edges,
            "foreground": self.foreground,
            "roi": self.roi,
            "key": self.key,
            "keep": self.keep,
            "subjects": read_subjects(specs),
            "chooser": self.chooser,
        }

    def _specs(self) -> list[str]:
        specs = list(self.subjects or ())
        if self.hint is not None:
            shared_options.check_name(self.hint)
            specs.append(Prompt(kind="mask", text=self.hint).spec())
        return specs

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height), with 0 for a side that is not set. Raises UsageError."""
        return shared_options.parse_size(self.size)


def read_subjects(specs: Sequence[str]) -> tuple[Subject, ...]:
    """Raises UsageError."""
    try:
        return parse_subjects(specs)
    except ValueError as exc:
        raise UsageError(f"--subject: {exc}") from None


@dataclass(frozen=True, kw_only=True)
class PartOptions:
    """Which stream and part of a recording is matted, and which metadata the result keeps, as the user wrote it. For
    `file` and `jobs submit`; live video has none of these options."""

    start: shared_options.Start = "0"
    end: shared_options.End = None
    stream: shared_options.Stream = None
    metadata: shared_options.MetadataOption = None

    def times_s(self) -> tuple[float, float | None]:
        """(start, end) in seconds; end None: that of the video. Raises UsageError."""
        start_s = shared_options.parse_seconds("--start", self.start)
        end_s = None if self.end is None else shared_options.parse_seconds("--end", self.end)
        if end_s is not None and end_s <= start_s:
            raise UsageError(f"--end {end_s:g} is not after --start {start_s:g}")
        return start_s, end_s


@dataclass(frozen=True, kw_only=True)
class SequenceOptions:
    """How picture sequences are read and written by `mattebox file`, as the user wrote it."""

    rate: shared_options.Rate = None
    missing: shared_options.Missing = MissingFiles.REFUSE
    alpha: shared_options.AlphaOption = None
    depth: shared_options.Depth = None

    def fields(self) -> dict[str, Any]:
        """The fields of a `FileRun`. Raises UsageError."""
        from stream.sinks.parts.numbered_pictures import AlphaMode, PictureOptions

        alpha: AlphaMode | None = None if self.alpha is None else self.alpha.value
        return {
            "rate": None if self.rate is None else _parse_rate(self.rate),
            "hold": self.missing is MissingFiles.HOLD,
            "pictures": PictureOptions(alpha, int(self.depth or 0)),
        }


def _parse_rate(text: str) -> Fraction:
    """Raises UsageError."""
    from stream.sources.sequence import parse_rate

    return parse_rate(text)


def with_matting_options(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator of a typer command: its parameters of the types `MattingOptions` and `Edges` become their options."""
    return with_flags(MattingOptions)(with_flags(Edges, "Edges")(command))
