"""The options of one video: what a user can choose. Pydantic records, exchanged between processes as JSON.

Knows nothing about where a video comes from or which machine processes it.
"""

import re
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from stream import limits
from stream.errors import UsageError
from stream.records.choosers import chooser_names, misunderstood
from stream.records.engines import AUTO, ENGINES, special_options, taking
from stream.records.slate import read_slate
from stream.records.subjects import PromptKind, Subject, parse_subjects
from stream.records.versions import Since
from stream.suggestions import nearest

Rgb = tuple[int, int, int]
GREEN: Rgb = (0, 255, 0)

BackgroundKind = Literal["color", "blur", "image", "video", "transparent", "none"]
BACKGROUND_SPECS = "color:#rrggbb, green, blur[:strength], image:PATH, video:PATH, transparent, none"


def parse_rgb(text: str) -> Rgb:
    """`#rrggbb` or `#rgb` as (red, green, blue), 0-255. The `#` is optional, because shells read it as a comment.

    Raises ValueError.
    """
    digits = text.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(2 * d for d in digits)
    if not re.fullmatch(r"[0-9a-fA-F]{6}", digits):
        raise ValueError(f"{text!r} is not a colour; write it as #rrggbb")
    return int(digits[0:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)


class Background(BaseModel):
    """What is shown behind the subject. In JSON it is text, in the syntax of the command line: `BACKGROUND_SPECS`."""

    model_config = ConfigDict(frozen=True)

    kind: BackgroundKind
    rgb: Rgb = GREEN
    path: str = ""
    strength: float = Field(0.5, ge=0.0, le=1.0, description="strength of the blur; 1 is the strongest")

    @model_validator(mode="before")
    @classmethod
    def _from_spec(cls, value: Any) -> Any:
        return _spec_fields(value) if isinstance(value, str) else value

    @model_serializer
    def spec(self) -> str:
        match self.kind:
            case "color":
                return "color:#{:02x}{:02x}{:02x}".format(*self.rgb)
            case "blur":
                return f"blur:{self.strength:g}"
            case "image" | "video":
                return f"{self.kind}:{self.path}"
        return self.kind


def _spec_fields(spec: str) -> dict[str, Any]:
    kind, colon, rest = spec.partition(":")
    match kind:
        case "color" | "colour" if rest:
            return {"kind": "color", "rgb": parse_rgb(rest)}
        case "blur":
            return {"kind": "blur"} | ({"strength": rest} if colon else {})
        case "image" | "video" if rest:
            return {"kind": kind, "path": rest}
        case "green" if not colon:
            return {"kind": "color", "rgb": GREEN}
        case "transparent" | "none" if not colon:
            return {"kind": kind}
    raise ValueError(f"{spec!r} is not a background; {_hint(spec)}")


def _hint(spec: str) -> str:
    """What was probably meant, else all choices."""
    if re.fullmatch("#?([0-9a-fA-F]{3}){1,2}", spec):
        return f"did you mean color:{spec}?"
    if re.search(r"\.[A-Za-z0-9]{2,5}$", spec) and ":" not in spec:
        return f"for a file write image:{spec} or video:{spec}"
    kinds = ["color", "green", "blur", "image", "video", "transparent", "none"]
    return f"use one of: {BACKGROUND_SPECS}{nearest(spec.partition(':')[0], kinds)}"


class View(StrEnum):
    """The views of a matte that an output may show."""

    COMPOSITE = "composite"  # subject in front of the background
    MATTE = "matte"  # alpha as grey
    OVERLAY = "overlay"  # the input, with everything that is not subject tinted
    SIDE_BY_SIDE = "side-by-side"  # input left, composite right
    STACKED = "stacked"  # colour above alpha, for players without alpha support


class Temporal(StrEnum):
    """Temporal smoothing of the alpha."""

    AUTO = "auto"  # depends on the engine; files look ahead, live video does not
    OFF = "off"
    LIVE = "live"  # no delay
    LIVE_1 = "live+1"  # one frame of delay: also removes errors of a single frame
    OFFLINE = "offline"  # uses past and future frames


FacePart = Literal["hair", "hat", "glasses", "earring", "necklace"]
"""What people wear on their heads, which some engines lose."""


class Refine(StrEnum):
    """How the matte's edges are fitted to the picture: by guided upsampling, or by a network."""

    AUTO = "auto"  # as part of temporal smoothing, for engines with coarse mattes
    ON = "on"  # with and without temporal smoothing
    OFF = "off"
    VITMATTE = "vitmatte"  # a network computes them at full resolution; for files and pictures


class Edges(BaseModel):
    """Shape of the matte's edge. Pixels are pixels of the output; by default only `refine` has an effect."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    refine: Annotated[Refine, Since(2, ("vitmatte",))] = Field(
        Refine.AUTO,
        description="Fit the edges of the matte to the edges in the picture; vitmatte: by a network, for fine hair.",
    )
    threshold: float = Field(
        0.5, ge=0.05, le=0.95, description="The alpha that becomes one half; a lower value includes more."
    )
    contrast: float = Field(0.0, ge=0.0, le=1.0, description="Hardness of soft edges: 0 is unchanged, 1 is a hard cut.")
    specks: float = Field(
        0.0, ge=0.0, le=0.25, description="Remove isolated parts smaller than this share of the picture."
    )
    holes: float = Field(0.0, ge=0.0, le=0.25, description="Fill holes smaller than this share of the picture.")
    expand: float = Field(
        0.0, ge=-20.0, le=20.0, description="Grow the subject by this many pixels; negative values shrink it."
    )
    feather: float = Field(0.0, ge=0.0, le=30.0, description="Soften the edge over this many pixels on either side.")
    light_wrap: float = Field(0.0, ge=0.0, le=1.0, description="Let light from the background spill over the edge.")
    spill: float = Field(0.0, ge=0.0, le=1.0, description="Remove the tint of a green or blue screen from the subject.")


def _for(option: str) -> str:
    """The start of an option's description: the engines that support it."""
    return f"For {', '.join(taking(option))}:"


class Options(BaseModel):
    """All options that affect the picture of one video."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: str = Field(AUTO, description="The model that finds the subject; auto selects the best for this machine.")
    background: Background = Field(Background(kind="color"), description="What is shown behind the subject.")
    view: View = Field(View.COMPOSITE, description="What the output shows.")
    temporal: Temporal = Field(Temporal.AUTO, description="Temporal smoothing: steadies the matte over time.")
    temporal_strength: float = Field(
        0.7, ge=0.0, le=1.0, description="Strength of the temporal smoothing; 0 turns it off."
    )
    edges: Edges = Edges()
    foreground: Literal["auto", "estimate", "keep"] = Field(
        "auto",
        description="The subject's colours at soft edges: estimate them without the old background, or keep them.",
    )
    roi: bool = Field(
        False, description=f"{_for('roi')} process only the area around the subject, and regularly the whole picture."
    )
    key: Rgb | None = Field(
        None, description=f"{_for('key')} the colour of the screen; by default it is measured on the first frame."
    )

    subjects: Annotated[tuple[Subject, ...], Since(2)] = Field(
        (),
        max_length=limits.SUBJECTS,
        description="The subjects, by points, boxes, masks, classes or words; by default the engine decides.",
    )
    chooser: Annotated[str, Since(2)] = Field(
        AUTO, description="The model that finds `subjects`; auto selects one that understands their prompts."
    )

    keep: Annotated[tuple[FacePart, ...], Since(2)] = Field(
        (),
        description=f"Add these to the matte where it has lost them around a face: {', '.join(get_args(FacePart))}.",
    )

    @field_validator("keep", mode="before")
    @classmethod
    def _read_parts(cls, value: Any) -> Any:
        """A list, or text with commas. Each part once, in the order of `FacePart`."""
        names = [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value
        if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
            return value
        parts = get_args(FacePart)
        if unknown := next((name for name in names if name not in parts), ""):
            raise ValueError(f"{unknown!r} is not one of: {', '.join(parts)}{nearest(unknown, parts)}")
        return tuple(part for part in parts if part in names)

    @field_validator("key", mode="before")
    @classmethod
    def _read_key(cls, value: Any) -> Any:
        return parse_rgb(value) if isinstance(value, str) else value

    @field_validator("subjects", mode="before")
    @classmethod
    def _read_specs(cls, value: Any) -> Any:
        """Texts in the syntax of the command line: one, or a list."""
        specs = [value] if isinstance(value, str) else value
        return parse_subjects(specs) if _are_texts(specs) else value

    @field_validator("subjects")
    @classmethod
    def _have_names_of_their_own(cls, subjects: tuple[Subject, ...]) -> tuple[Subject, ...]:
        names = [subject.name for subject in subjects]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise ValueError(f"two have the name {twice!r}")
        return subjects

    @field_validator("chooser")
    @classmethod
    def _is_known(cls, name: str) -> str:
        """A record with a chooser that only newer versions know is left to those."""
        if name not in chooser_names():
            raise ValueError(f"{name!r} is not one of: {', '.join(chooser_names())}{nearest(name, chooser_names())}")
        return name

    @property
    def wants_alpha(self) -> bool:
        """Whether the output has an alpha channel."""
        return self.view is View.COMPOSITE and self.background.kind == "transparent"

    def misplaced(self) -> tuple[str, str] | None:
        """A field that the chosen engine or chooser does not support, with the reason as text; None if there is none.

        None for an engine that is unknown here, too, which is reported where the engine is chosen.
        """
        if self.engine != AUTO and self.engine in ENGINES:
            for name in self.special():
                if self.engine not in taking(name):
                    return name, f"supported only by {', '.join(taking(name))}, not by {self.engine}"
        fault = misunderstood(self.chooser, self.prompt_kinds) if self.subjects else ""
        return ("subjects", fault) if fault else None

    @property
    def prompt_kinds(self) -> frozenset[PromptKind]:
        """The kinds of the prompts of all subjects."""
        return frozenset[PromptKind]().union(*(subject.kinds for subject in self.subjects))

    def special(self) -> list[str]:
        """The fields with a non-default value that only some engines support."""
        fields = type(self).model_fields
        return [name for name in special_options() if name in fields and getattr(self, name) != fields[name].default]

    @classmethod
    def read(cls, **fields: Any) -> Self:
        """Construct from fields. Raises a one-line UsageError that names each invalid field."""
        try:
            return cls(**fields)
        except ValidationError as exc:
            raise UsageError("; ".join(_readable(error) for error in exc.errors())) from None


def _are_texts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(item, str) for item in value)


class FeedOptions(Options):
    """The options of a live video whose source may be away: of feeds, `mattebox stream` and `mattebox camera`."""

    slate: Annotated[str, Field(max_length=limits.SLATE), AfterValidator(read_slate), Since(2)] = Field(
        "", description="A line of text over the background while the source is away; by default none."
    )


_SHOWN_PARTS = {"edges": 2, "subjects": 4}
"""How many parts of the place of an error are shown for fields with records in them: subjects.0.prompts.1."""


def _readable(error: Any) -> str:
    shown = _SHOWN_PARTS.get(str(error["loc"][0]), 1) if error["loc"] else 0
    field = ".".join(str(part) for part in error["loc"][:shown])
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "literal_error":
        choices = re.findall("'([^']+)'", error["ctx"]["expected"])
        message = f"{error['input']!r} is not one of: {', '.join(choices)}{nearest(str(error['input']), choices)}"
    elif field in Options.model_fields and error["loc"][1:]:
        message = f"{error['input']!r}: {message[:1].lower()}{message[1:]}"
    return f"{field}: {message}" if field else message
