"""What a user asks of one video, as records that travel between processes. Pydantic, JSON both ways.

Knows nothing about where a video comes from or which machine works on it.
"""

import re
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_serializer, model_validator

from stream.errors import UsageError
from stream.records.engines import AUTO, special_options, taking

Rgb = tuple[int, int, int]
GREEN: Rgb = (0, 255, 0)

BackgroundKind = Literal["color", "blur", "image", "video", "transparent", "none"]
BACKGROUND_SPECS = "color:#rrggbb, green, blur[:strength], image:PATH, video:PATH, transparent, none"


def parse_rgb(text: str) -> Rgb:
    """`#rrggbb` or `#rgb` (the `#` may be left out: shells read it as a comment) to 0-255 numbers."""
    digits = text.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(2 * d for d in digits)
    if not re.fullmatch(r"[0-9a-fA-F]{6}", digits):
        raise ValueError(f"{text!r} is no colour; write it as #rrggbb")
    return int(digits[0:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)


class Background(BaseModel):
    """What stands behind the subject. Written and read as the SPEC of the command line, in JSON too."""

    model_config = ConfigDict(frozen=True)

    kind: BackgroundKind
    rgb: Rgb = GREEN
    path: str = ""
    strength: float = Field(0.5, ge=0.0, le=1.0, description="of the blur; 1 is widest")

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
    raise ValueError(f"{spec!r} is no background; one of: {BACKGROUND_SPECS}")


class View(StrEnum):
    """What the output shows."""

    COMPOSITE = "composite"  # subject in front of the background
    MATTE = "matte"  # alpha as grey
    OVERLAY = "overlay"  # the input, with everything that is not subject tinted
    SIDE_BY_SIDE = "side-by-side"  # input left, composite right
    STACKED = "stacked"  # colour above alpha, for players that know no alpha


class Temporal(StrEnum):
    """How masks are steadied over time."""

    AUTO = "auto"  # by engine and job: files look ahead, live video does not
    OFF = "off"
    LIVE = "live"  # no delay
    LIVE_1 = "live+1"  # one frame late: single pops and holes go too
    OFFLINE = "offline"  # both directions


class Refine(StrEnum):
    """Is a small matte fitted to the edges of the picture?"""

    AUTO = "auto"  # as a part of the steadying, for engines with coarse mattes
    ON = "on"  # by guided upsampling, with steadying and without
    OFF = "off"


class Edges(BaseModel):
    """How the edge of the matte looks. Pixels are those of the output; by default only `refine` does anything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    refine: Refine = Field(Refine.AUTO, description="Fit the matte's edges to the picture's.")
    threshold: float = Field(0.5, ge=0.05, le=0.95, description="Alpha that becomes one half; less takes in more.")
    contrast: float = Field(0.0, ge=0.0, le=1.0, description="Hardness of soft edges: 0 as found, 1 a cut.")
    specks: float = Field(0.0, ge=0.0, le=0.25, description="Drop lone parts smaller than this share of the picture.")
    holes: float = Field(0.0, ge=0.0, le=0.25, description="Fill holes smaller than this share of the picture.")
    expand: float = Field(0.0, ge=-20.0, le=20.0, description="Move the edge outwards by so many pixels; -2 inwards.")
    feather: float = Field(0.0, ge=0.0, le=30.0, description="Soften the edge over so many pixels on either side.")
    light_wrap: float = Field(0.0, ge=0.0, le=1.0, description="Let the background's light spill over the edge.")
    spill: float = Field(0.0, ge=0.0, le=1.0, description="Take a green or blue screen's tint off the subject.")


def _for(option: str) -> str:
    return f"For {', '.join(taking(option))}:"


class Options(BaseModel):
    """Everything about the picture that may be chosen for one video."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: str = Field(AUTO, description="The model that finds the subject; auto takes the best for this machine.")
    background: Background = Field(Background(kind="color"), description="What stands behind the subject.")
    view: View = Field(View.COMPOSITE, description="What the picture shows.")
    temporal: Temporal = Field(Temporal.AUTO, description="How the matte is steadied over time.")
    temporal_strength: float = Field(0.7, ge=0.0, le=1.0, description="Strength of the steadying; 0 is none.")
    edges: Edges = Edges()
    foreground: Literal["auto", "estimate", "keep"] = Field(
        "auto", description="The subject's colours: estimated where it mixes with the room, or kept as they are."
    )
    roi: bool = Field(False, description=f"{_for('roi')} look where the subject was, and at everything now and then.")
    key: Rgb | None = Field(
        None, description=f"{_for('key')} the screen's colour; unset, it is measured on the first frame."
    )

    @model_validator(mode="before")
    @classmethod
    def _read_key(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("key"), str):
            return value | {"key": parse_rgb(value["key"])}
        return value

    @property
    def wants_alpha(self) -> bool:
        """Does the output carry transparency?"""
        return self.view is View.COMPOSITE and self.background.kind == "transparent"

    def misplaced(self) -> tuple[str, str] | None:
        """A field that the chosen engine would not use, and why in words."""
        if self.engine == AUTO:
            return None
        for name in self.special():
            if self.engine not in taking(name):
                return name, f"is for the engine {', '.join(taking(name))}, not for {self.engine}"
        return None

    def special(self) -> list[str]:
        """The fields that are set and that only some engines take."""
        fields = type(self).model_fields
        return [name for name in special_options() if name in fields and getattr(self, name) != fields[name].default]

    @classmethod
    def read(cls, **fields: Any) -> Self:
        """As the constructor, with a one-line UsageError that names the field."""
        try:
            return cls(**fields)
        except ValidationError as exc:
            raise UsageError("; ".join(_readable(error) for error in exc.errors())) from None


def _readable(error: Any) -> str:
    nested = error["loc"][:1] == ("edges",)
    field = ".".join(str(part) for part in error["loc"][: 2 if nested else 1])
    message = error["msg"].removeprefix("Value error, ")
    if field in Options.model_fields and error["loc"][1:]:
        message = f"{error['input']!r}: {message[:1].lower()}{message[1:]}"
    return f"{field}: {message}" if field else message
