"""The records of the choosers: complete, and which prompts they understand."""

import pickle

import pytest

from stream.errors import UsageError
from stream.records.choosers import CHOOSERS, chooser_names, listed, misunderstood, understanding
from stream.records.options import Options
from stream.records.subjects import KINDS
from stream.settings import Settings
from tests.chooser_records import FOLLOWING, NAMING, QUICK, READING, registered


def test_every_record_is_complete() -> None:
    for name, record in CHOOSERS.items():
        assert record.name == name
        assert name in record.label
        assert record.sentence.endswith(".")
        assert record.prompts
        assert set(record.prompts) <= set(KINDS)
        assert not record.catalogue or name in Settings.model_fields
        assert not record.modules or record.extra
        assert pickle.loads(pickle.dumps(record)) == record


@pytest.mark.parametrize("job", ["live", "files"])
def test_ranks_are_unique(job: str) -> None:
    orders = [rank.order for record in CHOOSERS.values() if (rank := getattr(record, job)) is not None]
    assert len(set(orders)) == len(orders)


def test_the_choosers_that_understand_all_prompts() -> None:
    with registered():
        assert chooser_names() == ("auto", "following", "quick", "naming", "reading")
        assert understanding({"point"}) == [FOLLOWING, QUICK]
        assert understanding({"mask"}) == [FOLLOWING, READING]
        assert understanding({"class"}) == [NAMING]
        assert understanding({"point", "class"}) == []


_EACH = (
    "; following understands point, box, mask; quick understands point, box; naming understands class; "
    "reading understands words, mask"
)


@pytest.mark.parametrize(
    ("chooser", "specs", "fault"),
    [
        ("auto", ["point:1,1", "box:1,1,2,2"], ""),
        ("auto", ["point:1,1", "class:dog"], f"no chooser understands point and class prompts together{_EACH}"),
        ("naming", ["class:dog"], ""),
        ("naming", ["a hat", "class:dog"], f"the chooser naming does not understand words prompts{_EACH}"),
        ("naming", ["a hat", "point:1,1"], f"the chooser naming does not understand point and words prompts{_EACH}"),
        ("naming", [], ""),
        ("auto", [], ""),
    ],
)
def test_prompts_that_a_chooser_does_not_understand(chooser: str, specs: list[str], fault: str) -> None:
    with registered():
        options = Options.read(chooser=chooser, subjects=specs)
        assert options.misplaced() == (("subjects", fault) if fault else None)


def test_an_unknown_chooser_is_refused_with_the_nearest() -> None:
    with registered(), pytest.raises(UsageError) as caught:
        Options.read(chooser="quik")
    assert str(caught.value) == (
        "chooser: 'quik' is not one of: auto, following, quick, naming, reading; did you mean quick?"
    )


def test_without_choosers_no_prompt_is_understood() -> None:
    options = Options.read(subjects=["a hat"])
    with registered(QUICK):
        assert misunderstood("auto", options.prompt_kinds) == (
            "no chooser understands words prompts; quick understands point, box"
        )


def test_kinds_are_listed_in_their_order() -> None:
    assert listed({"words", "point"}) == "point and words"
