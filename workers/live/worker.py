"""A worker: takes offers while it has room, runs their videos, says every second that it is alive, and ends politely.

Lives on the event loop. Its videos do not need Redis: while that is away they go on, nothing new is taken, and what
could not be written is written later.
"""

import asyncio
import logging
import os
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress

from stream.errors import BadMove, Fenced, MatteboxError, NoSession, SdpError, StoreDown, UsageError
from stream.log import OncePerSecond
from stream.records.keys import NO_STREAM
from stream.records.live import Answer, Command, Offer, Session, SessionState, Worker
from stream.records.live_store import LiveStore
from stream.records.options import Options
from stream.settings import Settings
from stream.signals import endings
from workers.device import threads
from workers.live import capacity
from workers.live.pool import Engines
from workers.live.video import LiveVideo

_log = logging.getLogger(__name__)
_EVERY_S = 1.0
_REAP_EVERY_S = 2.0
_ASIDE_S = 0.2  # until a full worker looks again whether it has room
_TELL_S = 60.0  # for so long an end that could not be written is tried again
_FAILURES = ("connect_timeout", "engine_failed", "bad_sdp")


class LiveWorker:
    """settings and store are its caller's; the store is left open."""

    def __init__(self, settings: Settings, store: LiveStore) -> None:
        self._settings, self._store = settings, store
        self._id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"[:128]
        self._engines = Engines(settings)
        self._load = capacity.Load(settings.cores())
        self._record = Worker(id=self._id, host=socket.gethostname(), pid=os.getpid(), started_s=time.time())
        self._videos: dict[str, LiveVideo] = {}
        self._held: dict[str, Session] = {}  # all that this worker answers for, viewers too
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = OncePerSecond(_log)

    async def warm(self) -> None:
        """Load what most videos will want and measure what this machine holds. Raises WeightsError, UsageError."""
        threads.apply(self._settings)
        device = await self._engines.get(Options())
        videos = await asyncio.to_thread(capacity.videos, device, self._settings)
        self._record = self._record.model_copy(
            update={"engine": device.name, "device": device.device, "capacity": videos}
        )
        _log.info("engine %s on %s: room for %d videos", device.name, device.device, videos)

    async def run_until_stopped(self) -> None:
        """`run` until SIGTERM, SIGINT or SIGHUP; a second one does not wait for anything."""
        stop, loop = asyncio.Event(), asyncio.get_running_loop()

        def asked() -> None:
            if stop.is_set():
                os._exit(1)
            stop.set()

        for number in endings():
            loop.add_signal_handler(number, asked)
        await self.run(stop)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; then take nothing new, end every video as "drained", and return."""
        self._record = self._record.model_copy(update={"state": "ready"})
        loops = [
            asyncio.create_task(self._forever(work, every_s))
            for work, every_s in (
                (self._beat, _EVERY_S),
                (self._renew, _EVERY_S),
                (self._report, _EVERY_S),
                (self._reap, _REAP_EVERY_S),
                (self._take, 0.0),
                (self._obey, 0.0),
            )
        ]
        await stop.wait()
        await self._drain()
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        with suppress(StoreDown):
            await self._store.leave(self._id)
        await self._engines.close()

    async def _forever(self, work: Callable[[], Awaitable[None]], every_s: float) -> None:
        while True:
            try:
                await work()
            except StoreDown as exc:
                self._log.warning("%s; running videos go on", exc)
                await asyncio.sleep(_EVERY_S)
            except Exception:  # noqa: BLE001 - a bug in one round is no reason to leave all videos alone
                _log.exception("worker: a round of %s failed", work.__name__)
                await asyncio.sleep(_EVERY_S)
            await asyncio.sleep(every_s)

    async def _drain(self) -> None:
        self._record = self._record.model_copy(update={"state": "draining"})
        with suppress(StoreDown):
            await self._beat()
        await asyncio.gather(*(video.end("drained") for video in list(self._videos.values())))
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2.0)

    # what is said

    async def _beat(self) -> None:
        now = {"load": round(self._load(), 3), "sessions": len(self._videos)} | self._engines.meters()
        self._record = self._record.model_copy(update=now | capacity.memory())
        await self._store.beat(self._record)

    async def _renew(self) -> None:
        for lost in await self._store.renew(list(self._held.values())):
            _log.warning("session %s is another worker's by now", lost)
            self._soon(self._let_go(lost))

    async def _let_go(self, lost: str) -> None:
        self._held.pop(lost, None)
        if (video := self._videos.get(lost)) is not None:
            await video.end("worker_lost")

    async def _report(self) -> None:
        for name, video in list(self._videos.items()):
            if name in self._held:
                with suppress(Fenced, NoSession):
                    meters = video.meters().model_copy(update={"load": self._record.load})
                    await self._store.report(self._held[name], meters)

    async def _reap(self) -> None:
        for session in await self._store.reap():
            _log.info("session %s: %s", session.id, session.reason)

    # what is taken

    async def _take(self) -> None:
        if self._record.state != "ready" or not self._has_room():
            await asyncio.sleep(_ASIDE_S)
            return
        taken = await self._store.take(self._id, _EVERY_S)
        if taken is not None:
            self._soon(self._serve(*taken))

    def _has_room(self) -> bool:
        return len(self._videos) < self._record.capacity and (not self._videos or capacity.has_room(self._record.load))

    async def _serve(self, session: Session, offer: Offer) -> None:
        try:
            engine = self._engines.ready(session.options)
        except UsageError as exc:
            await self._refuse(session, Answer(problem="usage", detail=str(exc)))
            return
        video = LiveVideo(session, self._settings, engine, self._changed)
        self._videos[session.id], self._held[session.id] = video, session
        await self._answer(session, video.answer(offer.sdp))
        if engine is None:
            await self._load_engine(video, session.options)

    async def _refuse(self, session: Session, answer: Answer) -> None:
        with suppress(StoreDown, Fenced, NoSession):
            await self._store.reply(session, answer)
        self._settle(session, SessionState.FAILED, answer.problem)

    async def _answer(self, session: Session, answering: Awaitable[str]) -> None:
        """Tell the client. A refused offer has closed its connection, and `_changed` has heard of that."""
        try:
            answer = Answer(sdp=await answering)
        except SdpError as exc:
            answer = Answer(problem="bad_sdp", detail=str(exc))
        try:
            await self._store.reply(session, answer)
        except (StoreDown, Fenced, NoSession) as exc:  # nobody waits for it: the connection ends by its own deadline
            _log.info("session %s: %s", session.id, exc)

    async def _load_engine(self, video: LiveVideo, options: Options) -> None:
        """Give the video its engine when that is warm; until then it has the old one, or shows its background."""
        try:
            engine = await self._engines.get(options)
        except MatteboxError as exc:
            _log.warning("video %s: %s", video.id, exc)
            engine = await self._engines.get(Options())
            video.notice = f"{options.engine} is not to be had here: {exc}"
        if self._engines.key(video.options) == self._engines.key(options):  # else another was asked for meanwhile
            video.set_engine(engine)

    # what is asked

    async def _obey(self) -> None:
        for command in await self._store.commands(self._id, _EVERY_S):
            self._soon(self._do(command))

    async def _do(self, command: Command) -> None:
        session = command.session
        video = self._videos.get(session)
        match command.kind:
            case "view":
                await self._serve_viewer(session, command)
            case "options" if video is not None and command.options is not None:
                await self._change(video, command.options)
            case "candidates":
                for each in list(self._videos.values()):
                    with suppress(SdpError):
                        await each.add_candidates(session, command.text)
            case "end" if video is not None:
                await video.end(command.reason)
            case "end":
                for each in list(self._videos.values()):
                    await each.end_viewer(session, command.reason)

    async def _change(self, video: LiveVideo, options: Options) -> None:
        try:
            engine = self._engines.ready(options)
        except UsageError as exc:
            video.notice = str(exc)
            return
        await video.change(options, engine)
        if engine is None:
            await self._load_engine(video, options)

    async def _serve_viewer(self, name: str, command: Command) -> None:
        viewer = await self._store.accept(self._id, name)
        if viewer is None:
            return
        video = self._videos.get(viewer.of)
        self._held[name] = viewer
        if video is not None:
            await self._answer(viewer, video.view(name, command.text))
        else:
            await self._refuse(viewer, Answer(problem=NO_STREAM, detail="the stream has ended"))

    # what happens to connections

    def _changed(self, name: str, state: str, reason: str) -> None:
        session = self._held.get(name)
        if state == "closed":
            self._videos.pop(name, None)
        if session is None:
            return
        if state == "connected":
            self._settle(session, SessionState.LIVE, "")
        else:
            self._settle(session, SessionState.FAILED if reason in _FAILURES else SessionState.ENDED, reason)

    def _settle(self, session: Session, to: SessionState, reason: str) -> None:
        if to.final:
            self._held.pop(session.id, None)
        self._soon(self._move(session, to, reason))

    async def _move(self, session: Session, to: SessionState, reason: str) -> None:
        """Write it down; while Redis is away, as soon as it is back."""
        until_s = time.monotonic() + _TELL_S
        while time.monotonic() < until_s:
            try:
                moved = await self._store.move(session, to, reason)
            except StoreDown:
                await asyncio.sleep(_EVERY_S)
                continue
            except (BadMove, Fenced, NoSession) as exc:
                _log.info("session %s: %s", session.id, exc)
                return
            if session.id in self._held:
                self._held[session.id] = moved
            return

    def _soon(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Future[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("worker: %s", task.exception(), exc_info=task.exception())
