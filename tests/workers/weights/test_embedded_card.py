import json
from pathlib import Path

import pytest

from stream.errors import WeightsError
from workers.weights.embedded_card import KEY, dumped, read
from workers.weights.onnx_cards import Activation, Card

CARD = Card("mine", (0.1, 0.2, 0.3), (1.0, 0.5, 0.25), output="logits", activation=Activation.SIGMOID, licence="MIT")


def test_a_card_is_read_as_it_was_written() -> None:
    assert read(dumped(CARD), Path("a.onnx")) == CARD


def test_other_metadata_is_no_card() -> None:
    assert read({"author": "me"}, Path("a.onnx")) is None


@pytest.mark.parametrize(
    "change",
    [
        {"mean": [0.1, 0.2]},
        {"mean": "abc"},
        {"deviation": [1, 1, 0]},
        {"deviation": [1, 1, float("nan")]},
        {"deviation": None},
        {"activation": "tanh"},
    ],
)
def test_a_card_that_cannot_be_used_is_one_clear_error(change: dict[str, object]) -> None:
    fields = json.loads(dumped(CARD)[KEY]) | change
    with pytest.raises(WeightsError, match=r"^a\.onnx: its metadata mattebox\.card cannot be used .*CARD=FILE\.onnx$"):
        read({KEY: json.dumps(fields)}, Path("a.onnx"))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "7"])
def test_text_that_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(WeightsError, match="cannot be used"):
        read({KEY: text}, Path("a.onnx"))


def test_text_for_messages_is_one_line() -> None:
    fields = json.loads(dumped(CARD)[KEY]) | {"about": "two\nlines " + "x" * 999}
    found = read({KEY: json.dumps(fields)}, Path("a.onnx"))
    assert found is not None
    assert "\n" not in found.about
    assert len(found.about) == 100
