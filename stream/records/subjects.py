"""What a user says about the subjects of a video: prompts, as text and as records. The vocabulary of `--subject`.

A spec is `[NAME=][not:]PROMPT`. PROMPT is one of `PROMPT_SPECS`; text without a scheme is words. `not:` removes what
the prompts find; `not:person` is short for `not:class:person`. Prompts of the same name describe one subject. Without a
name, prompts belong to the subject `subject`, and those with `not:` to `removed`.

Coordinates are of the upright picture, from its upper left corner: relative to its size if none is above 1, else in
pixels. Times are seconds from the start of the video. A prompt applies from its time on: to correct a matte, add one.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from stream import limits
from stream.suggestions import nearest

PromptKind = Literal["point", "box", "mask", "class", "words"]
PROMPT_SPECS = 'point:X,Y[@T], point:-X,Y[@T] (not this), box:X,Y,W,H[@T], mask:FILE[@T], class:NAME,…, "words"'

SUBJECT_SPEC = f"[NAME=][not:]PROMPT, where PROMPT is one of {PROMPT_SPECS}"
KINDS: tuple[PromptKind, ...] = get_args(PromptKind)
NAME = "[A-Za-z0-9_-]{1,32}"
"""Pattern of the name of a subject."""

_NUMBER = r"\d+(?:\.\d+)?|\.\d+"
_PLACED = {"point": 2, "box": 4}
_SUBJECT, _REMOVED = "subject", "removed"
_DECIMALS = 6  # of coordinates and times in texts
_QUOTED = 80  # characters of a faulty prompt in an error message
_FILE_NAME = r"\S+\.[A-Za-z0-9]{2,5}"


def _rounded(number: float) -> float:
    return round(number, _DECIMALS)


class Prompt(BaseModel):
    """One prompt. In JSON it is text, in the syntax of the command line: `PROMPT_SPECS`.

    place: of a point (x, y) or of a box (x, y, width, height). inside: False for a point that is not the subject.
    names: of classes. text: the words, or the path of the mask. at_s: from when on it applies. Coordinates and times
    are rounded to a millionth, so that text and record are the same prompt.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: PromptKind
    place: tuple[Annotated[float, Field(ge=0.0, le=limits.SIDE_PX), AfterValidator(_rounded)], ...] = ()
    inside: bool = True
    names: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = Field((), max_length=64)
    text: str = Field("", max_length=limits.PROMPT_TEXT)
    at_s: Annotated[float, AfterValidator(_rounded)] = Field(0.0, ge=0.0, le=limits.PROMPT_AT_S)

    @model_validator(mode="before")
    @classmethod
    def _from_spec(cls, value: Any) -> Any:
        return _prompt_fields(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_what_its_text_says(self) -> "Prompt":
        fields = _prompt_fields(self.spec())
        read = (
            tuple(_rounded(number) for number in fields.get("place", ())),
            fields.get("inside", True),
            tuple(fields.get("names", ())),
            fields.get("text", ""),
            _rounded(float(fields.get("at_s", 0.0))),
        )
        if read != (self.place, self.inside, self.names, self.text, self.at_s):
            raise ValueError(f"a prompt of the kind {self.kind} with these fields cannot be written as text")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "description": f"A prompt, as text: {PROMPT_SPECS}.", "examples": ["point:0.5,0.25"]}

    @model_serializer
    def spec(self) -> str:
        """As text. `Prompt.model_validate` reads it."""
        at = f"@{_written(self.at_s)}" if self.at_s else ""
        match self.kind:
            case "point" | "box":
                sign = "" if self.inside else "-"
                return f"{self.kind}:{sign}{','.join(map(_written, self.place))}{at}"
            case "class":
                return f"class:{','.join(self.names)}"
            case "mask":
                ends_like_a_time = re.search(rf"@(?:{_NUMBER})$", self.text)
                return f"mask:{self.text}{at or ('@0' if ends_like_a_time else '')}"
        return f"words:{self.text}"

    def in_pixels(self, width: int, height: int) -> tuple[float, ...]:
        """`place` in pixels of a picture of this size."""
        if max(self.place, default=0.0) > 1.0:
            return self.place
        return tuple(number * (height if index % 2 else width) for index, number in enumerate(self.place))


class Subject(BaseModel):
    """A subject and the prompts that find it. keep: False removes it from the matte."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(_SUBJECT, pattern=f"^{NAME}$", description="its name, unique in the video")
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

    @property
    def masks(self) -> list[str]:
        """The paths of its masks."""
        return [prompt.text for prompt in self.prompts if prompt.kind == "mask"]

    def with_masks(self, moved: Callable[[str], str]) -> "Subject":
        """The same with other paths of its masks. moved: a path's new one."""
        prompts = (
            prompt.model_copy(update={"text": moved(prompt.text)}) if prompt.kind == "mask" else prompt
            for prompt in self.prompts
        )
        return self.model_copy(update={"prompts": tuple(prompts)})


def _written(number: float) -> str:
    return f"{number:.{_DECIMALS}f}".rstrip("0").rstrip(".")


def parse_subjects(specs: Iterable[str]) -> tuple[Subject, ...]:
    """The subjects of several specs `[NAME=][not:]PROMPT`, in the order of their first prompts. Raises a ValueError of
    one line."""
    prompts: dict[str, list[Prompt]] = {}
    keeps: dict[str, bool] = {}
    for spec in specs:
        name, keep, prompt = _parse_spec(spec)
        if keeps.setdefault(name, keep) is not keep:
            raise ValueError(f"{name!r} is both kept and removed; give them different names")
        prompts.setdefault(name, []).append(prompt)
    if len(prompts) > limits.SUBJECTS:
        raise ValueError(f"a video has at most {limits.SUBJECTS} subjects; prompts of the same name describe one")
    return tuple(_subject(name, keeps[name], found) for name, found in prompts.items())


def specs(subjects: Iterable[Subject]) -> list[str]:
    """The specs of the subjects, one per prompt. `parse_subjects` reads them."""
    return [
        f"{subject.name}={'' if subject.keep else 'not:'}{prompt.spec()}"
        for subject in subjects
        for prompt in subject.prompts
    ]


def _subject(name: str, keep: bool, prompts: Sequence[Prompt]) -> Subject:
    try:
        return Subject(name=name, keep=keep, prompts=tuple(prompts))
    except ValidationError as exc:
        error = exc.errors()[0]
        if error["type"] == "value_error":
            raise ValueError(str(error["ctx"]["error"])) from None
        raise ValueError(f"{name} has {len(prompts)} prompts; at most {limits.PROMPTS} items are allowed") from None


def _parse_spec(spec: str) -> tuple[str, bool, Prompt]:
    named = re.fullmatch(rf"({NAME})=(.*)", spec, re.DOTALL)
    rest = named[2] if named else spec
    keep = not rest.startswith("not:")
    text = rest if keep else rest.removeprefix("not:")
    if text.startswith("not:"):
        raise ValueError(f"{_quoted(spec)} has not: twice")
    if not text.strip():
        raise ValueError(f"{_quoted(spec)} has no prompt; use one of: {PROMPT_SPECS}")
    if not keep and text.partition(":")[0] not in KINDS:
        text = f"class:{text}"
    name = named[1] if named else _SUBJECT if keep else _REMOVED
    return name, keep, _prompt(text)


def _prompt(text: str) -> Prompt:
    try:
        return Prompt.model_validate(text)
    except ValidationError as exc:
        error = exc.errors()[0]
        if error["type"] == "value_error":
            raise ValueError(str(error["ctx"]["error"])) from None
        part = _PARTS.get(str(error["loc"][0]), "it")
        reason = error["msg"].partition(" ")[2]  # without the noun of pydantic's sentence
        raise ValueError(f"{_quoted(text)}: {part} {reason}") from None


_FORMS = {
    "point": "point:X,Y, or point:-X,Y for what is not the subject; @SECONDS at its end if it applies later",
    "box": "box:X,Y,W,H; @SECONDS at its end if it applies later",
    "mask": "mask:FILE; @SECONDS at its end if it applies later",
    "class": "class:NAME or class:NAME,NAME",
    "words": "words:TEXT, or text without a colon",
}
"""How each kind of prompt is written, in error messages."""

_PARTS = {"place": "a coordinate", "at_s": "the time", "names": "a name", "text": "the text"}
"""What a field of a prompt is called in error messages."""


def _prompt_fields(spec: str) -> dict[str, Any]:
    scheme, colon, rest = spec.partition(":")
    if not colon and spec.strip():
        return {"kind": "words", "text": _words(spec.strip())}
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
    raise ValueError(f"{_quoted(spec)} is not a prompt; {_hint(spec)}")


def _words(text: str) -> str:
    """Words without a scheme. Raises ValueError for text that is more likely a prompt of another kind."""
    if re.fullmatch(rf"-?(?:{_NUMBER})(?:,-?(?:{_NUMBER}))*(?:@.*)?", text.replace(" ", "")):
        kind = "box" if text.count(",") > 1 else "point"
        raise ValueError(f"{_quoted(text)} is not a prompt; did you mean {kind}:{text}?")
    if re.fullmatch(_FILE_NAME, text.partition("@")[0]):
        raise ValueError(f"{_quoted(text)} is not a prompt; for a file write mask:{text}")
    return text


def _hint(spec: str) -> str:
    """What was probably meant, else all choices."""
    scheme = spec.partition(":")[0]
    name, equals, kind = scheme.rpartition("=")
    if equals and kind in (*KINDS, "not"):
        return f"a name has 1 to 32 letters, digits, - and _, unlike {_quoted(name)}"
    if scheme in KINDS:
        return f"write {_FORMS[scheme]}"
    if spec.removeprefix(f"{scheme}:").partition(":")[0] in (*KINDS, "not"):
        return f"for a subject with a name write {scheme[:_QUOTED]}=PROMPT"
    if scheme in ("image", "video", "file"):
        return f"for a file write mask:{spec[len(scheme) + 1 :][:_QUOTED]}"
    if " " in scheme.strip():
        return f"for words with a colon write words:{spec[:_QUOTED]}"
    return f"use one of: {PROMPT_SPECS}{nearest(scheme, KINDS)}"


def _placed(kind: str, text: str, spec: str) -> dict[str, Any]:
    count = _PLACED[kind]
    numbers = ",".join([f"({_NUMBER})"] * count)
    found = re.fullmatch(rf"(-?){numbers}(?:@({_NUMBER}))?", text.replace(" ", ""))
    if found is None or (found[1] and kind == "box"):
        raise ValueError(f"{_quoted(spec)} is not a {kind}; write {_FORMS[kind]}")
    place = [float(found[index]) for index in range(2, 2 + count)]
    if kind == "box" and not (place[2] and place[3]):
        raise ValueError(f"{_quoted(spec)} is an empty box; its width and height are the last two numbers")
    return {"kind": kind, "place": place, "inside": not found[1], "at_s": found[2 + count] or 0.0}


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _QUOTED else f"{text[: _QUOTED - 1]}…")
