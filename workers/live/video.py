"""One live video of a worker, from its offer to its end: the camera's connection, its matte, and its viewers.

Runs on the event loop; frames are processed in the threads of `pump`. Knows nothing about Redis: a callback reports
changes of connections, and the worker reads the meters.
"""

import asyncio
import logging
import threading
from collections.abc import Callable

from stream.errors import MatteboxError, NoVideoStream, without_paths
from stream.loops import start
from stream.pump import pump
from stream.records.live import BYE, ENGINE_FAILED, MEDIA_TIMEOUT, Meters, Session, SessionKind
from stream.records.options import Options
from stream.rtc.peer import Peer
from stream.rtc.sink import LiveOutput
from stream.settings import Settings
from workers.engines.base import Engine
from workers.live.matte import LiveMatte
from workers.live.rates import Rates

_log = logging.getLogger(__name__)
_JOIN_S = 5.0

Changed = Callable[[str, str, str], None]
"""(session id, "connected" or "closed", reason)."""


class LiveVideo:
    """engine: None while it is being loaded; the background is shown until `set_engine`. changed: called when the
    camera's own connection, or a viewer's, is connected or closed; on the event loop.
    """

    def __init__(self, session: Session, settings: Settings, engine: Engine | None, changed: Changed) -> None:
        self.id, self._kind, self._settings, self._changed = session.id, session.kind, settings, changed
        self._loop = asyncio.get_running_loop()
        self._output = LiveOutput(settings)
        self._matte = LiveMatte(session.options, engine, settings, lambda: self._output.wants_stack)
        self._peer = Peer(settings, self._camera_changed)
        self._viewers: dict[str, Peer] = {}
        self._thread: threading.Thread | None = None
        self._rates = Rates()
        self._changing = asyncio.Lock()  # keeps changes in the order of the calls
        self.notice = ""
        self.reason = ""

    @property
    def options(self) -> Options:
        """The options that were requested last."""
        return self._matte.latest()

    async def answer(self, sdp: str) -> str:
        """The answer to the camera's offer; starts matting. Raises SdpError."""
        if self._kind is SessionKind.CAMERA:
            text = await self._peer.answer(sdp, self._output, user=self.id)
        else:
            self._peer.on_sound = self._output.play
            text = await self._peer.answer(sdp, None, user=self.id)
        self._thread = threading.Thread(target=self._pump, name=f"video {self.id[:8]}", daemon=True)
        self._thread.start()
        return text

    async def view(self, viewer_id: str, sdp: str, stacked: bool = False) -> str:
        """The answer to the offer of a further viewer, of the published view or of colour above alpha. Raises
        SdpError."""
        peer = Peer(self._settings, lambda state, reason: self._viewer_changed(viewer_id, state, reason))
        self._viewers[viewer_id] = peer
        try:
            return await peer.answer(sdp, self._output, incoming=False, user=viewer_id, stacked=stacked)
        except BaseException:
            self._viewers.pop(viewer_id, None)
            raise

    async def add_candidates(self, session_id: str, fragment: str) -> None:
        """Add ICE candidates to the camera's connection or a viewer's; other ids are ignored. Raises SdpError."""
        peer = self._peer if session_id == self.id else self._viewers.get(session_id)
        if peer is not None:
            await peer.add_candidates(fragment)

    async def change(self, options: Options, engine: Engine | None = None) -> None:
        """Change the options. Concurrent calls take effect in order.

        A background that cannot be read changes nothing, but sets `notice`.
        """
        async with self._changing:
            try:
                await asyncio.to_thread(self._matte.change, options, engine)
                self.notice = ""
            except MatteboxError as exc:
                self.notice = str(exc)

    def set_engine(self, engine: Engine) -> None:
        self._matte.set_engine(engine)

    async def end(self, reason: str) -> None:
        """Close all connections, the viewers' too, and free everything. A second call does nothing."""
        # keep the cause of a failure, for example, if the session is deleted afterwards
        self.reason = self.reason or self._peer.reason or reason
        peers = [self._peer, *self._viewers.values()]
        await asyncio.gather(*(peer.close(reason) for peer in peers))
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _JOIN_S)

    async def end_viewer(self, viewer_id: str, reason: str) -> None:
        if viewer_id in self._viewers:
            await self._viewers[viewer_id].close(reason)

    def meters(self) -> Meters:
        """Of the time since the last call."""
        source, out = self._peer.source, self._output.meters()
        dropped = dict(out.dropped)
        if source is not None:
            dropped |= {cause: n for cause, n in source.dropped.items() if n}
            dropped |= {"late": source.slot.dropped} if source.slot.dropped else {}
        if self._matte.covered:
            dropped["engine"] = self._matte.covered
        fps_in, matte_fps = self._rates(source.rate.count if source else 0, self._matte.matted)
        return Meters(
            fps_in=fps_in,
            fps_out=out.fps,
            matte_fps=matte_fps,
            latency_ms=out.latency_ms,
            glass_ms=out.latency_ms + out.round_trip_ms
            if self._kind is SessionKind.CAMERA and out.round_trip_ms
            else 0.0,
            stages_ms={
                "decode": source.decoding.take_ms() if source else 0.0,
                "matte": self._matte.working.take_ms(),
                "encode": out.encode_ms,
            },
            dropped=dropped,
            width=out.width,
            height=out.height,
            engine=self._matte.engine.name,
            device=self._matte.engine.device,
            bitrate_bps=out.bitrate_bps,
            viewers=out.viewers,
            notice=without_paths(self.notice or self._matte.notice),
        )

    def _pump(self) -> None:
        source = self._peer.source
        assert source is not None, "an offer without video is refused"
        reason = BYE
        try:
            pump(source, self._matte, self._output, read=source.slot, written=self._output.slot)
        except NoVideoStream:
            reason = MEDIA_TIMEOUT
        except Exception:  # noqa: BLE001 - a bug; this video ends, the worker and its other videos continue
            _log.exception("video %s failed", self.id)
            reason = ENGINE_FAILED
        self._loop.call_soon_threadsafe(self._pumped, reason)

    def _pumped(self, reason: str) -> None:
        self._closing = start(self._peer.close(self.reason or reason), _log)

    def _camera_changed(self, state: str, reason: str) -> None:
        self.reason = self.reason or reason
        self._changed(self.id, state, self.reason)

    def _viewer_changed(self, viewer_id: str, state: str, reason: str) -> None:
        if state == "closed":
            self._viewers.pop(viewer_id, None)
        self._changed(viewer_id, state, reason)
