"""The records of the engines are complete and consistent."""

import pickle

import pytest

from stream.records.engines import ENGINES, EngineRecord, implied_by, names, special_options, taking
from stream.records.options import Options
from stream.settings import Settings


def test_names_begin_with_auto() -> None:
    assert names() == ("auto", *ENGINES)


@pytest.mark.parametrize("name", ENGINES)
def test_a_record_is_complete(name: str) -> None:
    record = ENGINES[name]
    assert record.name == name
    assert record.title
    assert record.title in record.label, "both call it the same"
    assert record.name in record.label
    assert record.sentence.endswith(".")
    assert set(record.implied_by) <= set(record.options)
    assert not record.catalogue or record.name in Settings.model_fields
    assert not record.chosen_weights or (record.catalogue and not Settings.model_fields[name].default)
    assert pickle.loads(pickle.dumps(record)) == record  # it is sent to the process that runs file tasks


@pytest.mark.parametrize("job", ["live", "files"])
def test_ranks_are_unique_and_one_needs_no_gpu(job: str) -> None:
    ranks = [rank for record in ENGINES.values() if (rank := getattr(record, job)) is not None]
    assert len({rank.order for rank in ranks}) == len(ranks)
    assert any(not rank.cuda and rank.reason for rank in ranks)


def test_special_options_belong_to_some_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(special_options()) == {"roi", "weights", "key"}
    assert taking("key") == ("chroma",)
    assert taking("weights") == ("birefnet", "onnx")
    assert implied_by("roi") is None
    record = implied_by("key")
    assert record is not None
    assert record.name == "chroma"
    monkeypatch.setitem(
        ENGINES, "other", EngineRecord("other", "none:Other", "other", "Takes a key.", options=("key",))
    )
    assert Options(engine="other", key=(0, 255, 0)).misplaced() is None
    assert Options(engine="rvm", key=(0, 255, 0)).misplaced() == (
        "key",
        "supported only by chroma, other, not by rvm",
    )
