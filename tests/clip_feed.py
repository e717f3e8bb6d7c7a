"""A `FanOut` that gets a clip's frames and sound at their own pace, again and again."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from stream.picture.frames import Frame
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks.live.fan_out import FanOut
from stream.sinks.live.spec import OutputSpec, OutputStatus
from stream.sources import open_source
from stream.sources.base import SourceOptions
from tests.waiting import until


class Feed:
    """states: the status of the outputs at each change."""

    def __init__(self, clip: Path, outputs: list[OutputSpec], settings: Settings) -> None:
        self.states: list[OutputStatus] = []
        self.fan_out = FanOut(outputs, Options(), settings, self.states.append)
        self._clip, self._settings = clip, settings
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        began_s, start_s = time.monotonic(), 0.0
        opened = False
        while not self._ending.is_set():
            source, last_s = open_source(self._clip, SourceOptions(), self._settings), 0.0
            if not opened:
                self.fan_out.open(source.info)
                opened = True
            for item in source:
                shift = round(start_s / item.time_base)
                if isinstance(item, Frame):
                    last_s = item.time_s
                    self._ending.wait(max(0.0, began_s + start_s + last_s - time.monotonic()))
                    item = replace(item, pts=item.pts + shift, arrived_s=time.monotonic())
                else:
                    item.pts, item.dts = (item.pts or 0) + shift, (item.dts or 0) + shift
                if self._ending.is_set():
                    break
                self.fan_out.write(item)
            start_s += last_s + 1 / float(source.info.rate)
            source.close()

    @property
    def output(self) -> OutputStatus:
        return self.fan_out.outputs()[0]

    def reasons(self) -> list[str]:
        return [status.reason for status in self.states]

    def until(self, state: str, count: int = 1) -> None:
        """Wait until the first output has been in this state so often."""
        until(lambda: sum(s.state == state for s in self.states) >= count, f"{state} {count}x, {self.states}")

    def close(self) -> None:
        """Idempotent."""
        if not self._ending.is_set():
            self._ending.set()
            self._thread.join()
            self.fan_out.close()


@contextmanager
def feeding(clip: Path, *outputs: OutputSpec, settings: Settings) -> Iterator[Feed]:
    feed = Feed(clip, list(outputs), settings)
    try:
        yield feed
    finally:
        feed.close()
