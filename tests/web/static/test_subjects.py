"""The scripts behind picking subjects: the list of subjects, and places in a picture. They need no page."""

from typing import Any

import pytest

from stream.records.options import Options
from stream.records.subjects import parse_subjects

# Runs steps [method, ...arguments] on a list of subjects. Returns what the options get, and how often it has changed.
STEPS = """async ([steps, list]) => {
  const { Subjects, specs } = await import('/static/shared/subjects.js');
  const subjects = new Subjects(list);
  let changes = 0;
  subjects.addEventListener('change', () => { changes += 1; });
  const returned = steps.map(([method, ...args]) => subjects[method](...args) ?? null);
  const { options, active } = subjects;
  return { options, active, returned, changes, specs: specs(options) };
}"""
PLACE = """async ([box, picture, fit, pointer, mirrored]) => {
  const place = await import('/static/shared/picture_place.js');
  return place.flipped(place.seenPlace(pointer, place.pictureRect(box, picture, fit)), mirrored);
}"""


def steps(studio: Any, *steps: Any, of: Any = ()) -> dict[str, Any]:
    found: dict[str, Any] = studio.evaluate(STEPS, [steps, of])
    return found


def prompts(found: dict[str, Any]) -> dict[str, tuple[bool, list[str]]]:
    return {subject["name"]: (subject["keep"], subject["prompts"]) for subject in found["options"]}


@pytest.mark.long
def test_the_server_reads_what_the_page_makes(studio: Any) -> None:
    found = steps(
        studio,
        ["point", [0.25, 0.5]],
        ["point", [1 / 3, 1], False, 3.0336667],
        ["box", [0.9, 0.75], [0.4, 0.5], 60],
        ["add"],
        ["point", [1e-9, 1.2]],
        ["box", [0.5, 0.5], [0.5, 0.5]],
        ["toggle", "subject-2"],
    )
    options = Options(subjects=found["options"])
    assert options.model_dump(mode="json")["subjects"] == found["options"]
    assert options.subjects == parse_subjects(found["specs"])
    first, second = options.subjects
    assert [(p.kind, p.inside, p.place, p.at_s) for p in first.prompts] == [
        ("point", True, (0.25, 0.5), 0.0),
        ("point", False, (0.3333, 1.0), 3.033),  # a prompt must not be later than its frame
        ("box", True, (0.4, 0.5, 0.5, 0.25), 60.0),
    ]
    assert [p.place for p in second.prompts] == [(0.0, 1.0), (0.5, 0.5, 0.001, 0.001)]
    assert (first.keep, second.keep) == (True, False)


def test_points_describe_the_active_subject(studio: Any) -> None:
    found = steps(
        studio,
        ["point", [0.1, 0.1]],
        ["add"],
        ["point", [0.2, 0.2]],
        ["select", "subject-1"],
        ["point", [0.3, 0.3], False],
        ["box", [0, 0], [0.5, 0.5]],
    )
    assert prompts(found) == {
        "subject-1": (True, ["point:0.1,0.1", "point:-0.3,0.3", "box:0,0,0.5,0.5"]),
        "subject-2": (True, ["point:0.2,0.2"]),
    }
    assert found["returned"] == ["subject-1", "subject-2", "subject-2", None, "subject-1", "subject-1"]
    assert found["changes"] == 6


def test_not_this_without_a_subject_removes_what_is_there(studio: Any) -> None:
    found = steps(studio, ["point", [0.1, 0.1], False], ["point", [0.2, 0.2], False], ["point", [0.3, 0.3]])
    assert prompts(found) == {
        "subject-1": (False, ["point:0.1,0.1"]),
        "subject-2": (False, ["point:0.2,0.2"]),
        "subject-3": (True, ["point:0.3,0.3"]),  # a click keeps, also after something was removed
    }
    assert found["active"] == "subject-3"
    found = steps(studio, ["add"], ["point", [0.1, 0.1], False], ["point", [0.2, 0.2]])
    assert prompts(found) == {"subject-1": (True, ["point:0.2,0.2"]), "subject-2": (False, ["point:0.1,0.1"])}


def test_undo_and_redo(studio: Any) -> None:
    picked: list[Any] = [
        ["point", [0.1, 0.1]],
        ["add"],
        ["point", [0.2, 0.2]],
        ["toggle", "subject-2"],
        ["delete", "subject-1"],
    ]
    whole = prompts(steps(studio, *picked))
    assert whole == {"subject-2": (False, ["point:0.2,0.2"])}
    for count in range(len(picked) + 1):
        back = [["undo"]] * count
        assert prompts(steps(studio, *picked, *back)) == prompts(steps(studio, *picked[: len(picked) - count])), count
        assert prompts(steps(studio, *picked, *back, *[["redo"]] * count)) == whole
    assert prompts(steps(studio, *picked, *[["undo"]] * 9)) == {}
    assert prompts(steps(studio, *picked, ["redo"])) == whole
    again = steps(studio, *picked, ["undo"], ["point", [0.3, 0.3]], ["redo"])
    assert prompts(again)["subject-2"] == (False, ["point:0.2,0.2", "point:0.3,0.3"]), (
        "a change ends what can be redone"
    )


def test_a_subject_that_nothing_finds_is_not_sent(studio: Any) -> None:
    """The server refuses subjects without a positive prompt."""
    assert steps(studio, ["add"], ["add"])["options"] == []
    found = steps(studio, ["add"], of=[{"name": "me", "prompts": ["class:person"]}])
    assert prompts(found) == {"me": (True, ["class:person"])}
    assert found["active"] == "subject-1"


def test_single_prompts_are_deleted_and_subjects_renamed(studio: Any) -> None:
    picked = [["point", [0.1, 0.1]], ["point", [0.2, 0.2], False], ["box", [0, 0], [0.5, 0.5]], ["add"]]
    found = steps(studio, *picked, ["deletePrompt", "subject-1", 1], ["rename", "subject-1", "ann"])
    assert prompts(found) == {"ann": (True, ["point:0.1,0.1", "box:0,0,0.5,0.5"])}
    assert found["active"] == "ann"
    refused = steps(studio, *picked, ["rename", "subject-1", "subject-2"], ["rename", "subject-1", ""])
    assert refused["returned"][-2:] == [False, False]
    assert refused["changes"] == len(picked)
    same = steps(studio, *picked, ["rename", "subject-2", "subject-2"])
    assert (same["returned"][-1], same["changes"]) == (True, len(picked))
    undone = steps(studio, *picked, ["rename", "subject-1", "ann"], ["deletePrompt", "ann", 0], ["undo"], ["undo"])
    assert prompts(undone) == prompts(steps(studio, *picked))
    empty = steps(studio, ["point", [0.1, 0.1]], ["deletePrompt", "subject-1", 0], ["point", [0.3, 0.3]])
    assert prompts(empty) == {"subject-1": (True, ["point:0.3,0.3"])}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Ann", "Ann"),
        ("  Ann  with hat ", "Ann-with-hat"),
        ("a_b-1", "a_b-1"),
        ("Subject 2", "subject-2"),
        ("", ""),
        ("Zoë", ""),
        ("a=b", ""),
        ("x" * 33, ""),
    ],
)
def test_what_is_typed_as_a_name(studio: Any, text: str, name: str) -> None:
    typed = studio.evaluate("async (text) => (await import('/static/shared/subjects.js')).asName(text)", text)
    assert typed == name
    if name:
        assert parse_subjects([f"{name}=point:0.5,0.5"])[0].name == name


def test_names_are_unique(studio: Any) -> None:
    found = steps(studio, ["point", [0.1, 0.1]], ["add"], ["delete", "subject-1"], ["add"], ["add"])
    assert found["returned"] == ["subject-1", "subject-2", None, "subject-1", "subject-3"]


def test_a_deleted_subject_is_no_longer_active(studio: Any) -> None:
    found = steps(studio, ["point", [0.1, 0.1]], ["delete", "subject-1"], ["point", [0.2, 0.2], False])
    assert prompts(found) == {"subject-1": (False, ["point:0.2,0.2"])}


@pytest.mark.long
@pytest.mark.parametrize(
    ("box", "picture", "fit", "pointer", "expected"),
    [
        ((400, 300), (1280, 960), "contain", (100, 75), (0.25, 0.25)),
        ((400, 400), (1280, 720), "contain", (100, 200), (0.25, 0.5)),  # bars of 87.5 above and below
        ((400, 400), (1280, 720), "contain", (0, 87.5), (0, 0)),
        ((400, 400), (720, 1280), "contain", (87.5, 400), (0, 1)),
        ((400, 400), (1280, 720), "cover", (200, 100), (0.5, 0.25)),  # 711 wide, centred
        ((400, 400), (1280, 720), "cover", (0, 0), (0.21875, 0)),
        ((400, 400), (1280, 720), "fill", (100, 300), (0.25, 0.75)),
    ],
)
def test_a_place_in_the_picture(
    studio: Any, box: Any, picture: Any, fit: str, pointer: Any, expected: tuple[float, float]
) -> None:
    sizes = [dict(zip(("width", "height"), size, strict=True)) for size in (box, picture)]
    at = dict(zip("xy", pointer, strict=True))
    assert studio.evaluate(PLACE, [*sizes, fit, at, False]) == pytest.approx(expected)
    mirrored = (1 - expected[0], expected[1])
    assert studio.evaluate(PLACE, [*sizes, fit, at, True]) == pytest.approx(mirrored)
