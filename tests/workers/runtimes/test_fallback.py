"""A runtime that fails is replaced, once and with one line in the log."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from stream.errors import EngineError
from workers.runtimes import Array, Network
from workers.runtimes.fallback import WithFallback, replaced


class Doubling:
    """Doubles its only input; fails for those with a negative number, and after `good` calls for all."""

    def __init__(self, good: int = 1000) -> None:
        self.inputs: tuple[str, ...] = ("x",)
        self.outputs: tuple[str, ...] = ("y",)
        self.good, self.closed = good, False

    def __call__(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        self.good -= 1
        if self.good < 0 or (feeds["x"] < 0).any():
            raise EngineError("cannot")
        return [2 * feeds["x"]]

    def close(self) -> None:
        self.closed = True


def broken() -> Network:
    raise RuntimeError("Check failed at file.cpp:7:\nno such instruction\n\n")


def double(network: Network, value: float) -> float:
    return float(network({"x": np.array([value])}, ("y",))[0][0])


def test_one_that_cannot_be_loaded_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    before = replaced()
    with caplog.at_level(logging.WARNING):
        assert double(WithFallback(broken, Doubling, "fast"), 3) == 6
    assert [record.message for record in caplog.records] == [
        "fast cannot load this network, the network runs without it: no such instruction"
    ]
    assert replaced() == before + 1


def test_one_that_fails_later_is_replaced_for_inputs_of_this_shape(caplog: pytest.LogCaptureFixture) -> None:
    first = Doubling(good=2)
    network = WithFallback(lambda: first, Doubling, "fast")
    with caplog.at_level(logging.WARNING):
        assert [double(network, value) for value in range(6)] == [0, 2, 4, 6, 8, 10]
    assert [record.message for record in caplog.records] == ["fast failed, the network runs without it: cannot"]
    assert first.good == -1  # called once more, and then never again
    network({"x": np.zeros(2)}, ("y",))
    assert first.good == -2  # with another shape


def test_an_input_at_fault_replaces_nothing() -> None:
    first, before = Doubling(), replaced()
    network = WithFallback(lambda: first, Doubling, "fast")
    with pytest.raises(EngineError):
        double(network, -1)
    assert double(network, 2) == 4
    assert (first.good, replaced()) == (998, before)


def test_both_are_closed() -> None:
    first, spare = Doubling(good=0), Doubling()
    network = WithFallback(lambda: first, lambda: spare, "fast")
    double(network, 1)
    network.close()
    assert spare.closed
