"""A live source that a server mattes: it is published to the server by WHIP, and comes back by WHEP.

Fails private: its frames are what the server sent, or slates; nothing of the local source is passed on. Knows no
concrete source.
"""

import logging
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from stream.address import Address
from stream.errors import NoVideoStream
from stream.picture.frames import Frame, VideoInfo
from stream.pump import Item, Warnings, pump
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks.live.fan_out import FanOut
from stream.sinks.live.spec import OutputSpec, OutputStatus
from stream.slot import LiveSlot, Slot
from stream.sources import open_live_source
from stream.sources.base import LiveSource, SourceOptions, SourceState

_log = logging.getLogger(__name__)
_RETRY_S = 1.0  # the stream exists a moment after its publisher is connected
_PUBLISHED_S = 10.0  # longest wait for the publisher, before the stream is asked for
_JOIN_S = 10.0


class Unchanged:
    """A transform that passes frames on."""

    def open(self, info: VideoInfo) -> VideoInfo:
        return info

    def __call__(self, frame: Frame) -> Iterable[Frame]:
        return [frame]

    def flush(self) -> Iterable[Frame]:
        return []

    def close(self) -> None:
        return None


class RemoteMatting:
    """A `LiveSource` of the frames that the server sends back, in the size of the local ones. Connects when `info` is
    first read, which waits for the first local frame.

    local: what is published, without its sound; closed with this. publish: the WHIP output. view: the address of the
    stream by WHEP. options: of the source at `view`; its `on_state` also gets the states of the output.
    """

    live = True

    def __init__(
        self, local: LiveSource, publish: OutputSpec, view: Address, options: SourceOptions, settings: Settings
    ) -> None:
        self.warnings: Warnings = []
        self.dropped: Counter[str] = Counter()
        self._local, self._view, self._options = local, view, options
        self._settings = settings.model_copy(update={"rtsp_retry_s": min(_RETRY_S, settings.rtsp_retry_s)})
        self._published = threading.Event()
        self._fan_out = FanOut([publish], Options(), settings, self._output_changed)
        self._sending = threading.Thread(target=self._send, name="to the server", daemon=True)
        self._opening = threading.Lock()
        self._ending = False
        self._remote: LiveSource | None = None
        self._before: LiveSlot[Item] = LiveSlot(lambda item: isinstance(item, Frame))

    @property
    def slot(self) -> Slot[Item] | LiveSlot[Item]:
        return self._remote.slot if self._remote else self._before

    @property
    def state(self) -> SourceState:
        return self._remote.state if self._remote else self._local.state

    @property
    def info(self) -> VideoInfo:
        with self._opening:
            if self._remote is None:
                self._remote = self._opened()
        return self._remote.info

    def _opened(self) -> LiveSource:
        info = self._local.info
        self._sending.start()
        self._published.wait(_PUBLISHED_S)
        options = replace(self._options, size=(info.width, info.height))
        remote = open_live_source(self._view, options, self._settings)
        self.dropped = remote.dropped
        if self._ending:
            remote.end()
        return remote

    def __iter__(self) -> Iterator[Item]:
        assert self.info
        assert self._remote is not None
        yield from self._remote

    def end(self) -> None:
        self._ending = True
        self._published.set()
        self._local.end()
        if self._remote is not None:
            self._remote.end()

    def close(self) -> None:
        """Ends both sessions on the server, and waits for that. Safe to call more than once."""
        self.end()
        if self._remote is not None:
            self._remote.close()
            self.warnings = [*self._local.warnings, *self._remote.warnings]
        if self._sending.ident is not None:
            self._sending.join(_JOIN_S)
        self._local.close()

    # In the thread that sends.

    def _send(self) -> None:
        try:
            pump(self._local, Unchanged(), self._fan_out)
        except NoVideoStream:
            pass  # it was ended before its first picture
        except Exception as exc:  # noqa: BLE001 - nothing more comes back from the server then
            _log.warning("the camera cannot be sent: %s", exc)
        if not self._ending:
            self.end()

    def _output_changed(self, status: OutputStatus) -> None:
        if status.state == "live":
            self._published.set()
        elif not self._ending and self._options.on_state is not None:
            self._options.on_state(SourceState("reconnecting", status.reason))
