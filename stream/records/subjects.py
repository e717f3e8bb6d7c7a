"""What a user says about the subjects of a video: prompts, as text and as records. The vocabulary of `--subject`.

A spec is `[NAME=][not:]PROMPT`. PROMPT is one of `PROMPT_SPECS`; text without a scheme is words. `not:` removes what
the prompts find; `not:person` is short for `not:class:person`. Prompts of the same name describe one subject. Without a
name, prompts belong to the subject `subject`, and those with `not:` to `removed`.

Coordinates are of the upright picture, from its upper left corner: relative to its size if none is above 1, else in
pixels. Times are seconds from the start of the video. A prompt applies from its time on: to correct a matte, add one.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from stream import limits
from stream.suggestions import nearest

PromptKind = Literal["point", "box", "mask", "class", "words"]
PROMPT_SPECS = 'point:X,Y[@T], point:-X,Y[@T] (not this), box:X,Y,W,H[@T], mask:FILE[@T], class:NAME,…, "words"'

_NAME = "[A-Za-z0-9_-]{1,32}"
_NUMBER = r"\d+(?:\.\d+)?|\.\d+"
_KINDS = ("point", "box", "mask", "class", "words")
_PLACED = {"point": 2, "box": 4}
_SUBJECT, _REMOVED = "subject", "removed"


class Prompt(BaseModel):
    """One prompt. In JSON it is text, in the syntax of the command line: `PROMPT_SPECS`.

    place: of a point (x, y) or of a box (x, y, width, height). inside: False for a point that is not the subject.
    names: of classes. text: the words, or the path of the mask. at_s: from when on it applies.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: PromptKind
    place: tuple[Annotated[float, Field(ge=0.0, le=limits.SIDE_PX)], ...] = ()
    inside: bool = True
    names: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = Field((), max_length=64)
    text: str = Field("", max_length=limits.PROMPT_TEXT)
    at_s: float = Field(0.0, ge=0.0, le=limits.PROMPT_AT_S)

    @model_validator(mode="before")
    @classmethod
    def _from_spec(cls, value: Any) -> Any:
        return _prompt_fields(value) if isinstance(value, str) else value

    @model_serializer
    def spec(self) -> str:
        """As text. `Prompt.model_validate` reads it."""
        at = f"@{self.at_s:g}" if self.at_s else ""
        match self.kind:
            case "point" | "box":
                sign = "" if self.inside else "-"
                return f"{self.kind}:{sign}{','.join(f'{number:g}' for number in self.place)}{at}"
            case "class":
                return f"class:{','.join(self.names)}"
            case "mask":
                return f"mask:{self.text}{at}"
        return f"words:{self.text}"

    def in_pixels(self, width: int, height: int) -> tuple[float, ...]:
        """`place` in pixels of a picture of this size."""
        if max(self.place, default=0.0) > 1.0:
            return self.place
        return tuple(number * (height if index % 2 else width) for index, number in enumerate(self.place))


class Subject(BaseModel):
    """A subject and the prompts that find it. keep: False removes it from the matte."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(_SUBJECT, pattern=f"^{_NAME}$", description="its name, unique in the video")
    keep: bool = Field(True, description="false removes it from the matte")
    prompts: tuple[Prompt, ...] = Field(
        min_length=1, max_length=limits.PROMPTS, description=f"what finds it, each as text: {PROMPT_SPECS}"
    )

    @model_validator(mode="after")
    def _has_positive_prompt(self) -> "Subject":
        if not any(prompt.inside for prompt in self.prompts):
            raise ValueError(f"{self.name} has only points that are not the subject; add one that is")
        return self

    @property
    def kinds(self) -> frozenset[PromptKind]:
        return frozenset(prompt.kind for prompt in self.prompts)


def parse_subjects(specs: Iterable[str]) -> tuple[Subject, ...]:
    """The subjects of several specs `[NAME=][not:]PROMPT`, in the order of their first prompts. Raises ValueError."""
    prompts: dict[str, list[Prompt]] = {}
    keeps: dict[str, bool] = {}
    for spec in specs:
        name, keep, prompt = _parse_spec(spec)
        if keeps.setdefault(name, keep) is not keep:
            raise ValueError(f"{name!r} is both kept and removed; give them different names")
        prompts.setdefault(name, []).append(prompt)
    return tuple(Subject(name=name, keep=keeps[name], prompts=tuple(found)) for name, found in prompts.items())


def _parse_spec(spec: str) -> tuple[str, bool, Prompt]:
    named = re.fullmatch(rf"({_NAME})=(.*)", spec, re.DOTALL)
    rest = named[2] if named else spec
    keep = not rest.startswith("not:")
    text = rest if keep else rest.removeprefix("not:")
    if not keep and text.partition(":")[0] not in _KINDS:
        text = f"class:{text}"
    name = named[1] if named else _SUBJECT if keep else _REMOVED
    return name, keep, Prompt.model_validate(text)


def _prompt_fields(spec: str) -> dict[str, Any]:
    scheme, colon, rest = spec.partition(":")
    if not colon and spec.strip():
        return {"kind": "words", "text": spec.strip()}
    match scheme:
        case "point" | "box":
            return {"kind": scheme} | _placed(scheme, rest, spec)
        case "mask" if rest:
            path, at = re.fullmatch(rf"(.*?)(?:@({_NUMBER}))?", rest, re.DOTALL).groups()  # type: ignore[union-attr]
            return {"kind": "mask", "text": path, "at_s": at or 0.0}
        case "class" if all(names := [name.strip() for name in rest.split(",")]):
            return {"kind": "class", "names": names}
        case "words" if rest.strip():
            return {"kind": "words", "text": rest.strip()}
    raise ValueError(f"{spec!r} is not a prompt; use one of: {PROMPT_SPECS}{nearest(scheme, _KINDS)}")


def _placed(kind: str, text: str, spec: str) -> dict[str, Any]:
    count = _PLACED[kind]
    numbers = ",".join([f"({_NUMBER})"] * count)
    found = re.fullmatch(rf"(-?){numbers}(?:@({_NUMBER}))?", text.replace(" ", ""))
    if found is None or (found[1] and kind == "box"):
        form = "point:X,Y, point:-X,Y or either with @T" if kind == "point" else "box:X,Y,W,H or box:X,Y,W,H@T"
        raise ValueError(f"{spec!r} is not a {kind}; write {form}")
    place = [float(found[index]) for index in range(2, 2 + count)]
    if kind == "box" and not (place[2] and place[3]):
        raise ValueError(f"{spec!r} is an empty box; its width and height are the last two numbers")
    return {"kind": kind, "place": place, "inside": not found[1], "at_s": found[2 + count] or 0.0}
