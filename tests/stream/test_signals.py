import signal

import pytest

from stream.signals import endings


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_ignored_signal_is_left_out(number: signal.Signals) -> None:
    before = signal.signal(number, signal.default_int_handler)
    try:
        assert number in endings()
        signal.signal(number, signal.SIG_IGN)
        assert number not in endings()
    finally:
        signal.signal(number, before)
