import json
from pathlib import Path

import pytest

from stream.errors import UsageError, WeightsError
from workers.weights.class_names import ClassNames

ADE = ClassNames(
    {
        0: "wall",
        8: "window ",
        12: "person, individual, someone, somebody, mortal, soul",
        14: "door, double door",
        58: "screen door, screen",
        126: "animal, animate being, beast, brute, creature, fauna",
        130: "screen, silver screen, projection screen",
    },
    "owner/ade",
)
COCO = ClassNames({0: "person", 16: "dog", 119: "sky-other-merged", 86: "door-stuff", 60: "dining table"}, "owner/coco")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["person"], {12}),
        (["Someone"], {12}),
        (["  PERSON ", "double  door"], {12, 14}),
        (["window"], {8}),
        (["screen"], {58, 130}),
        (["animate_being"], {126}),
    ],
)
def test_a_class_is_found_by_any_of_its_names(names: list[str], found: set[int]) -> None:
    assert ADE.find(names) == found


def test_endings_of_the_data_set_are_optional() -> None:
    assert COCO.find(["sky"]) == COCO.find(["sky-other-merged"]) == {119}
    assert COCO.find(["door", "dining table"]) == {86, 60}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Persn", "class: 'Persn' is not a class of owner/ade; did you mean person?"),
        ("animals", "class: 'animals' is not a class of owner/ade; did you mean animal?"),
        ("dog", "class: 'dog' is not a class of owner/ade; list all with: mattebox models classes"),
    ],
)
def test_an_unknown_class_is_refused_with_the_nearest_name(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        ADE.find(["person", name])
    assert str(caught.value) == message


def test_classes_without_names_are_refused() -> None:
    with pytest.raises(UsageError, match="owner/plain does not name its classes"):
        ClassNames({0: "LABEL_0", 1: "LABEL_1"}, "owner/plain").find(["person"])


def test_listed_in_the_order_of_the_checkpoint() -> None:
    assert ClassNames({10: "cat", 2: "dog;  hound "}, "owner/pets").listed() == [["dog", "hound"], ["cat"]]


def test_names_are_read_from_the_checkpoints_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"id2label": {"1": "dog", "0": "person"}}))
    assert ClassNames.of(tmp_path, "owner/pets").listed() == [["person"], ["dog"]]


@pytest.mark.parametrize("content", [None, "{}", "[1]", "no json", '{"id2label": {"x": "dog"}}', '{"id2label": 3}'])
def test_a_folder_without_names_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(WeightsError, match=r"owner/pets: .*config.json does not name classes"):
        ClassNames.of(tmp_path, "owner/pets")


def test_each_class_has_a_name_that_no_other_has() -> None:
    names = dict(zip(sorted(ADE.labels), ADE.unique(), strict=True))
    assert names[12] == "person"
    assert (names[58], names[130]) == ("screen door", "silver screen")
    assert all(len(ADE.find([name])) == 1 for name in names.values())
    assert "sky-other-merged" in COCO.unique()
