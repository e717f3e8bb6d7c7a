"""Plans and notes that a newer version made."""

import json
from dataclasses import replace

from workers.choosers.unsure import Unsure
from workers.files import plan
from workers.files.note import Note
from workers.files.plan import Plan

PLAN = Plan(
    clock=(1, 25), offset=0, size=(64, 48), spans=((None, None),), reads=((None, None),), frames=(10,), engine="chroma",
    threads=1,
)  # fmt: skip


def test_a_plan_is_known_by_its_format() -> None:
    assert plan.is_known("")
    assert plan.is_known(PLAN.model_dump_json())
    assert plan.is_known(json.dumps(PLAN.model_dump(exclude={"format"}))), "as the version before wrote it"
    assert plan.is_known(json.dumps(PLAN.model_dump() | {"added": 1}))
    assert not plan.is_known(PLAN.model_copy(update={"format": 99}).model_dump_json())
    assert not plan.is_known(json.dumps(PLAN.model_dump() | {"spans": "another kind"}))
    assert not plan.is_known("the plan")


def test_a_note_has_no_more_than_the_version_before_knows_unless_it_is_needed() -> None:
    note = Note(3, 1, 20, [("gap", "a gap")])
    assert set(json.loads(note.to_json())) == {"first", "bad", "total", "warnings"}
    unsure = replace(note, unsure=(Unsure("ann", 1.0, 2.0),))
    assert Note.from_json(unsure.to_json()) == unsure


def test_a_note_may_have_more() -> None:
    note = Note(3, 1, 20, [("gap", "a gap")])
    assert Note.from_json(json.dumps(json.loads(note.to_json()) | {"added": {"a": 1}})) == note
