"""Outputs that get frames."""

from typing import Any

from stream.picture.frames import Frame
from stream.pump import Item
from stream.sinks.live.output import Output
from stream.sinks.live.ring import FrameRing
from stream.sinks.live.video import Pace


class FrameOutput(Output):
    """Writes frames."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._ring = FrameRing()
        self._accepting = False
        self._pace = Pace(self.spec.rate)

    def offer(self, item: Item) -> None:
        super().offer(item)
        if self._accepting and (not isinstance(item, Frame) or self._pace.takes(item.time_s)):
            self._ring.put(item)

    def _check(self) -> None:
        self._writers.check(self.spec, self._options, self._settings)

    def _prepare(self) -> None:
        if not self._accepting:
            self._ring.restart()
            self._accepting = True

    def _release(self) -> None:
        self._accepting = False

    def _abort_writer(self) -> None:
        """A codec must not be closed while it runs. A sink that hangs is left behind with its thread."""

    def _dropped(self) -> int:
        return self._ring.dropped

    def _connection(self) -> None:
        writer = self._writer = self._writers.from_spec(self._spec(), self._options, self._settings)
        try:
            self._prepare()
            writer.open(self._encodes.info)
            self._live()
            self._transfer(self._ring, lambda item: self._write(writer, item))
            writer.close()
        except BaseException:
            writer.abort()
            raise
        finally:
            self._writer = None
            self._release()
            self.warnings += writer.warnings

    def _write(self, writer: Any, item: Item) -> None:
        writer.write(item)
        if isinstance(item, Frame):
            self._frames += 1
            self._sent.add(0, item.arrived_s)
