import signal

import pytest

from stream.signals import endings, postponed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_ignored_signal_is_left_out(number: signal.Signals) -> None:
    before = signal.signal(number, signal.default_int_handler)
    try:
        assert number in endings()
        signal.signal(number, signal.SIG_IGN)
        assert number not in endings()
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_handled_after_the_block(number: signal.Signals) -> None:
    order: list[object] = []
    before = signal.signal(number, lambda received, frame: order.append(received))
    try:
        with postponed():
            signal.raise_signal(number)
            order.append("block")
        assert order == ["block", number]
        signal.raise_signal(number)
        assert order == ["block", number, number]
    finally:
        signal.signal(number, before)
