"""A recording in MP4 that survives a crash: written in fragments beside its final name, and completed at the end."""

from typing import Self

from stream.errors import MatteboxError
from stream.settings import Settings
from stream.sinks.live.base import EncodeControl
from stream.sinks.live.packets import Packet
from stream.sinks.live.push import PushRequest, PushWriter, disk_failure
from stream.sinks.live.spec import OutputSpec
from stream.sinks.parts.indexed_mp4 import FRAGMENTS
from stream.sinks.parts.partial import Partial


class RecordingWriter(PushWriter):
    """Writes an .mp4 file. After a crash, a hidden file beside its name, ending in .part, has all but the last second.

    `abort` keeps what was written, if it is anything.
    """

    _end_s = 30.0

    @classmethod
    def check(cls, spec: OutputSpec, settings: Settings) -> None:
        Partial(spec.address.path)

    @classmethod
    def from_spec(cls, spec: OutputSpec, settings: Settings, control: EncodeControl) -> Self:
        return cls(spec, settings)

    def __init__(self, spec: OutputSpec, settings: Settings) -> None:
        super().__init__(spec, settings)
        self._partial = Partial(spec.address.path)
        self._written = False

    def request(self) -> PushRequest:
        return PushRequest("", "mp4", FRAGMENTS, indexed=str(self._partial.path.absolute()))

    def write(self, packet: Packet) -> None:
        super().write(packet)
        self._written = True

    def close(self) -> None:
        super().close()
        self._finish()

    def abort(self) -> None:
        super().abort()
        self._finish()

    def failure(self, name: str, errno: int, opened: bool) -> MatteboxError:
        return disk_failure(errno, self._partial.final) or super().failure(name, errno, opened)

    def _finish(self) -> None:
        """Give the file its name; once."""
        if self._partial.path.exists():
            if self._written:
                self._partial.publish()
            else:
                self._partial.discard()
