"""Records of two versions of this program on one Redis: what an older version may read, and what it leaves alone.

Every record carries `format`: the lowest number that a program must know to process it, not that of its writer. A field
that is added is marked `Since(n)`. Where it has its default value, it is left out and does not count, so that older
programs still process the record; otherwise the record has format n. A value that is added to those of a field is
marked in the same way.

Workers take records of formats and engines that they know, and leave all others to newer ones. Reading does not fail
because of what is unknown: unknown fields are ignored, unknown values are replaced by defaults. The record is then
`newer`: it can be shown, ended and removed, but its contents are not changed. When Redis has lost a record, its worker
restores it with the fields that only newer versions know. Knows nothing about Redis.
"""

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError
from pydantic.fields import FieldInfo

from stream.records.engines import names

FORMAT = 2
"""The newest format that this program knows. A change that marks a field `Since(n)` raises it to n."""
FIELD = "format"
"""The field of a record in Redis that has its format. Records without it have format 1."""
NEWER = "newer_version"
NEWER_DETAIL = "this was stored by a newer version of the server, and is not completely known to the one that answered"
_ROUNDS = 8  # of corrections: an error in a nested value may hide another one

Model = TypeVar("Model", bound=BaseModel)
Source = TypeVar("Source")
Record = TypeVar("Record")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Since:
    """Marks what a later format added, in the annotation of a field. values: those that were added; none: the field."""

    format: int
    values: tuple[str, ...] = ()


def known_engines() -> tuple[str, ...]:
    """What a worker of this version can be asked for. One whose packages are missing is not unknown: the error message
    names the packages."""
    return names()


def understood() -> str:
    """What this program processes, as the scripts read it: its format and its engines."""
    return json.dumps({"format": FORMAT, "engines": known_engines()})


class SharedRecord(BaseModel):
    """A record that is stored as a Redis hash and shared by versions.

    `_format` is the format it was stored with, `_complete` whether all of it could be read, and `_others` has the
    fields of the hash that a newer version added.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    stored_only: ClassVar[frozenset[str]] = frozenset()
    """Fields of the hash that only the scripts use."""

    _format: int = PrivateAttr(1)
    _complete: bool = PrivateAttr(True)
    _others: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def newer(self) -> bool:
        """Whether a newer version stored it in a way that this one does not completely know."""
        return self._format > FORMAT or not self._complete

    @classmethod
    def read(cls, values: Mapping[str, Any], fields: Mapping[str, str]) -> Self:
        """values: parsed from `fields`, those of the hash. Raises ValidationError only if a field without a default is
        not valid."""
        record, is_complete = read(cls, values)
        return record.stored_in(fields, is_complete)

    def stored_in(self, fields: Mapping[str, str], is_complete: bool = True) -> Self:
        """This record, just read, with what the fields of its hash tell about its version."""
        self._complete = is_complete
        self._format = _number(fields.get(FIELD, "1"))
        own = type(self).model_fields.keys() | self.stored_only | {FIELD}
        self._others = {name: text for name, text in fields.items() if name not in own}
        return self

    def extra_fields(self, *others: BaseModel) -> dict[str, str]:
        """The fields to store in addition to those of the model. others: records stored with it."""
        return {FIELD: str(max(format_of(record) for record in (self, *others))), **self._others}


def _number(text: str) -> int:
    """A format; one that is not a number is newer than all."""
    return int(text) if text.isdecimal() else FORMAT + 1


def read(model: type[Model], values: Mapping[str, Any]) -> tuple[Model, bool]:
    """A record without what this version does not know, and whether that was all. Raises ValidationError if a field
    without a default is not valid."""
    try:
        return model.model_validate(values), True
    except ValidationError as exc:
        return _corrected(model, json.loads(json.dumps(values)), exc), False


def readable(parse: Callable[[Source], Record], sources: Iterable[Source]) -> list[Record]:
    """The records that can be read at all; the others are left out."""
    return [record for source in sources if (record := attempted(parse, source)) is not None]


def attempted(parse: Callable[[Source], Record], source: Source) -> Record | None:
    """The record; None if not even its fields without defaults can be read."""
    try:
        return parse(source)
    except ValidationError as exc:
        _log.warning("left out a record that this version cannot read: %s", exc.errors()[0]["loc"])
        return None


def read_json(model: type[Model], text: str) -> Model:
    """As `read`, from JSON."""
    return read(model, json.loads(text))[0]


def _corrected(model: type[Model], values: dict[str, Any], error: ValidationError) -> Model:
    for _ in range(_ROUNDS):
        removed = [_remove(values, fault["type"], fault["loc"]) for fault in error.errors()]
        if not any(removed):
            break
        try:
            return model.model_validate(values)
        except ValidationError as exc:
            error = exc
    raise error


def _remove(values: dict[str, Any], kind: str, place: Sequence[int | str]) -> bool:
    """Remove the value at a place, or else the innermost one around it, which gets its default. False: there is none.

    kind: of the error; if a field is missing, what must be removed is the value without it.
    """
    path = place[:-1] if kind == "missing" else place
    found: tuple[dict[str, Any], str] | None = None
    inner: Any = values
    for step in path:
        if isinstance(inner, dict) and step in inner:
            found, inner = (inner, str(step)), inner[step]
        elif isinstance(inner, list) and isinstance(step, int) and step < len(inner):
            inner = inner[step]
        else:
            break
    if found is None:
        return False
    found[0].pop(found[1])
    return True


def can_process(record: SharedRecord, engine: str) -> bool:
    """Whether a worker of this version may run the video of a record. engine: that of its options."""
    return not record.newer and engine in known_engines()


def format_of(record: BaseModel) -> int:
    """The lowest format in which a record can be stored."""
    return max([1, *_formats(record)])


def _formats(value: Any) -> Iterable[int]:
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            own = getattr(value, name)
            for mark in _marks(field):
                if str(own) in mark.values or (not mark.values and own != field.get_default(call_default_factory=True)):
                    yield mark.format
            yield from _formats(own)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _formats(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _formats(inner)


def dump(record: BaseModel, most: int = FORMAT) -> dict[str, Any]:
    """A record as JSON, without the fields of formats after `most`, and those of later formats that have their default
    values."""
    values = record.model_dump(mode="json")
    _omit(record, values, most)
    return values


def dump_json(record: BaseModel) -> str:
    return json.dumps(dump(record))


def report_texts(report: BaseModel) -> tuple[str, str]:
    """A report as JSON, first only the fields of format 1, then all; the latter is "" if it has no more than those.

    Programs of format 1 refuse what they do not know. A report is only shown, so they get the part that they do know.
    """
    first, whole = dump(report, 1), dump(report)
    return json.dumps(first), json.dumps(whole) if whole != first else ""


def _omit(value: Any, dumped: Any, most: int) -> None:
    if isinstance(value, BaseModel) and isinstance(dumped, dict):
        for name, field in type(value).model_fields.items():
            own, added = getattr(value, name), [mark.format for mark in _marks(field) if not mark.values]
            if added and (max(added) > most or own == field.get_default(call_default_factory=True)):
                dumped.pop(name, None)
            else:
                _omit(own, dumped.get(name), most)
    elif isinstance(value, Mapping) and isinstance(dumped, dict):
        for name, inner in value.items():
            _omit(inner, dumped.get(name), most)
    elif isinstance(value, tuple | list) and isinstance(dumped, list):
        for inner, dumped_inner in zip(value, dumped, strict=True):
            _omit(inner, dumped_inner, most)


def _marks(field: FieldInfo) -> list[Since]:
    return [mark for mark in field.metadata if isinstance(mark, Since)]
