"""The signals that ask a program to terminate. Imports nothing large: the command line loads it first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def endings() -> list[signal.Signals]:
    """SIGINT, SIGTERM and SIGHUP, except those that were ignored when this program was started.

    Ignored signals stay ignored: nohup ignores SIGHUP, and a shell ignores SIGINT for background programs.
    """
    known = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) not in (signal.SIG_IGN, None)]


@contextmanager
def postponed() -> Iterator[None]:
    """Signals that ask this program to terminate are handled after the block, for code that must not be interrupted in
    the middle. Does nothing outside the main thread, where no signal is handled."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, remember) for number in endings()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for each in received:
            signal.raise_signal(each)
