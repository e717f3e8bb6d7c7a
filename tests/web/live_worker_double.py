"""Doubles of live workers, for tests of the web: they take offers from the store, answer them and execute commands.

`Double` answers without media. `Colouring` connects through aiortc and sends the camera back with the background's
colour everywhere except in the middle. `python -m tests.web.live_worker_double REDIS_URL NAME` runs a `Colouring` that
can be killed.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import aioice.ice
import av
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay

from stream.errors import BadMove, StoreError
from stream.records.choosers import CHOOSERS
from stream.records.live import Answer, Command, Meters, Session, SessionKind, SessionState, Worker
from stream.records.live_store import LiveStore
from stream.records.options import Options
from tests import chooser_records

_CHOOSERS = (*CHOOSERS, *(record.name for record in chooser_records.ALL))
CANNED = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"


class Double:
    """A worker that answers every offer at once. answer: its reply; None sends none."""

    def __init__(self, store: LiveStore, name: str = "double", capacity: int = 4) -> None:
        self.answer: Answer | None = Answer(sdp=CANNED)
        self.state: Any = "ready"
        self.sessions: dict[str, Session] = {}
        self.commands: list[Command] = []
        self._store, self._name, self._capacity = store, name, capacity

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for loop in (self._beat, self._take, self._execute):
                group.create_task(self._repeated(loop))

    async def _repeated(self, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Until it is cancelled; on a busy machine a call may time out."""
        while True:
            with suppress(StoreError):
                await loop()
            await asyncio.sleep(0.05)

    async def _beat(self) -> None:
        while True:
            mine = list(self.sessions.values())
            await self._store.beat(
                Worker(
                    id=self._name, host="test", pid=os.getpid(), state=self.state, capacity=self._capacity,
                    sessions=len(mine), load=0.25, engine="double", device="cpu", choosers=_CHOOSERS,
                )
            )  # fmt: skip
            for gone in await self._store.renew(mine):
                await self.end(gone)
            for session in list(self.sessions.values()):
                with suppress(BadMove):  # it ended meanwhile
                    await self._store.report(session, self.meters(session))
            await asyncio.sleep(0.25)

    async def _take(self) -> None:
        while True:
            if taken := await self._store.take(self._name, 0.5):
                await self._begin(taken[0], taken[1].sdp)

    async def _begin(self, session: Session, sdp: str) -> None:
        answer = await self.connect(session, sdp) if self.answer and self.answer.sdp else self.answer
        if answer is None:
            return
        self.sessions[session.id] = session  # before the reply: a test may look here as soon as it gets it
        with suppress(StoreError):
            await self._store.reply(session, answer)
            to = SessionState.LIVE if answer.sdp else SessionState.FAILED
            self.sessions[session.id] = await self._store.move(session, to, answer.problem)
        if answer.problem:
            self.sessions.pop(session.id, None)

    async def _execute(self) -> None:
        while True:
            for command in await self._store.commands(self._name, 0.5):
                self.commands.append(command)
                if command.kind == "view":
                    viewer = await self._store.accept(self._name, command.session)
                    if viewer is not None:
                        await self._begin(viewer, command.text)
                elif command.session in self.sessions:
                    await self._do(command, self.sessions[command.session])

    async def _do(self, command: Command, session: Session) -> None:
        if command.kind == "options" and command.options is not None:
            self.change(session, command.options)
        elif command.kind == "end":
            await self.end(session.id)
            await self._store.move(session, SessionState.ENDED, command.reason)

    async def connect(self, session: Session, sdp: str) -> Answer:
        assert self.answer is not None
        return self.answer

    def change(self, session: Session, options: Options) -> None:
        """Called when the options of a session change."""

    def meters(self, session: Session) -> Meters:
        return Meters(
            fps_in=30, fps_out=29.5, matte_fps=29.5, latency_ms=12.5, glass_ms=30.5,
            stages_ms={"matte": 4.1, "decode": 0.0}, dropped={"late": 3}, width=640, height=480,
            engine="double", device="cpu", bitrate_bps=800_000, viewers=1,
        )  # fmt: skip

    async def end(self, name: str) -> None:
        self.sessions.pop(name, None)


class Coloured(MediaStreamTrack):
    """The newest frames of the incoming track, with everything except the middle in the background's colour."""

    kind = "video"

    def __init__(self, source: Any, options: Options) -> None:
        super().__init__()
        self.source, self.options = source, options

    async def recv(self) -> av.VideoFrame:
        frame = await self.source.recv()
        while self.source._queue.qsize():
            frame = await self.source.recv()
        rgb = frame.to_ndarray(format="rgb24")
        picture = np.where(_middle(*rgb.shape[:2]), rgb, self._colour()).astype(np.uint8)
        out = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        out.pts, out.time_base = frame.pts, frame.time_base
        return out

    def _colour(self) -> Any:
        background = self.options.background
        return np.array(background.rgb if background.kind == "color" else (70, 74, 92), np.uint8)


def _middle(height: int, width: int) -> Any:
    y, x = np.ogrid[:height, :width]
    body = ((x - width / 2) / (width * 0.24)) ** 2 + ((y - height * 0.62) / (height * 0.52)) ** 2 < 1
    return body[..., None]


class Colouring(Double):
    """A worker with media."""

    def __init__(self, store: LiveStore, name: str) -> None:
        super().__init__(store, name)
        self._connections: dict[str, RTCPeerConnection] = {}
        self._tracks: dict[str, Coloured] = {}
        self._relay = MediaRelay()

    async def connect(self, session: Session, sdp: str) -> Answer:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        await connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        if session.kind is SessionKind.VIEW:
            connection.addTrack(self._relay.subscribe(self._tracks[session.of]))
        else:
            coming = next(t.receiver.track for t in connection.getTransceivers() if t.kind == "video")
            self._tracks[session.id] = Coloured(coming, session.options)
            if session.kind is SessionKind.CAMERA:
                connection.addTrack(self._tracks[session.id])
        await connection.setLocalDescription(await connection.createAnswer())
        self._connections[session.id] = connection
        return Answer(sdp=connection.localDescription.sdp)

    def change(self, session: Session, options: Options) -> None:
        self._tracks[session.id].options = options

    async def end(self, name: str) -> None:
        await super().end(name)
        self._tracks.pop(name, None)
        if connection := self._connections.pop(name, None):
            await connection.close()


async def main(url: str, name: str) -> None:
    # aioice offers no loopback address, and the test machine may have no other network
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    await Colouring(LiveStore(url), name).run()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:3]))
