"""A small real worker for tests of the web: takes offers, answers with aiortc, and sends a picture back.

It mattes nothing: the background's colour stands everywhere but in an ellipse, where the camera is seen. Run as a
process, `python -m tests.web.double REDIS_URL NAME`, it can be killed as a worker can.
"""

import asyncio
import os
import sys
import time
from contextlib import suppress

import aioice.ice
import av
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay

from stream.record import Answer, Command, Kind, Meters, Session, State, Worker
from stream.session import Options
from stream.store import Store

# aioice offers no loopback address, and there may be no other network
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


class Coloured(MediaStreamTrack):
    """The incoming track, newest frame first, with everything but the middle in the background's colour."""

    kind = "video"

    def __init__(self, source: MediaStreamTrack, options: Options) -> None:
        super().__init__()
        self.source, self.options, self.frames, self.dropped = source, options, 0, 0

    async def recv(self) -> av.VideoFrame:
        frame = await self.source.recv()
        while self.source._queue.qsize():
            frame, self.dropped = await self.source.recv(), self.dropped + 1
        rgb = frame.to_ndarray(format="rgb24")
        out = av.VideoFrame.from_ndarray(np.where(_middle(*rgb.shape[:2]), rgb, self._colour()), format="rgb24")
        out.pts, out.time_base = frame.pts, frame.time_base
        self.frames += 1
        return out.reformat(format="yuv420p")

    def _colour(self) -> np.ndarray:
        background = self.options.background
        return np.array(background.rgb if background.kind == "color" else (70, 74, 92), np.uint8)


def _middle(height: int, width: int) -> np.ndarray:
    y, x = np.ogrid[:height, :width]
    body = ((x - width / 2) / (width * 0.24)) ** 2 + ((y - height * 0.62) / (height * 0.52)) ** 2 < 1
    return body[..., None]


class Double:
    """One worker: holds any number of videos, each a connection with a coloured track."""

    def __init__(self, store: Store, name: str, capacity: int = 4) -> None:
        self._store, self._name, self._capacity = store, name, capacity
        self._videos: dict[str, tuple[Session, RTCPeerConnection, Coloured | None]] = {}
        self._relay = MediaRelay()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for part in (self._beat, self._take, self._obey):
                group.create_task(part())

    async def _beat(self) -> None:
        while True:
            await self._store.beat(
                Worker(
                    id=self._name, host="test", pid=os.getpid(), state="ready", capacity=self._capacity,
                    sessions=len(self._videos), load=0.25, engine="double", device="cpu", started_s=time.time(),
                )
            )  # fmt: skip
            held = [session for session, _, _ in self._videos.values()]
            for gone in await self._store.renew(held):
                await self._end(gone)
            await self._report()
            await asyncio.sleep(1)

    async def _report(self) -> None:
        for session, _, track in list(self._videos.values()):
            if track is not None:
                fps, track.frames = float(track.frames), 0
                meters = Meters(
                    fps_in=fps, fps_out=fps, matte_fps=fps, latency_ms=7.5, dropped={"late": track.dropped},
                    width=640, height=480, engine="double", device="cpu", bitrate_bps=1_000_000, viewers=1,
                )  # fmt: skip
                await self._store.report(session, meters)

    async def _take(self) -> None:
        while True:
            taken = await self._store.take(self._name, 0.5)
            if taken is not None:
                await self._answer(*taken[:1], taken[1].sdp)

    async def _answer(self, session: Session, sdp: str) -> None:
        if len(self._videos) >= self._capacity:
            await self._store.reply(session, Answer(problem="full", detail="no room"))
            return
        connection = RTCPeerConnection()
        try:
            answer = await self._connect(session, connection, sdp)
        except Exception as exc:  # noqa: BLE001 - aiortc raises anything for an odd offer
            await self._store.reply(session, Answer(problem="bad_sdp", detail=str(exc)[:100] or "unusable"))
            await self._store.move(session, State.FAILED, "bad_sdp")
            await connection.close()
            return
        await self._store.reply(session, Answer(sdp=answer))
        moved = await self._store.move(session, State.LIVE)
        self._videos[session.id] = (moved, *self._videos[session.id][1:])

    async def _connect(self, session: Session, connection: RTCPeerConnection, sdp: str) -> str:
        await connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        coming = next((t.receiver.track for t in connection.getTransceivers() if t.kind == "video"), None)
        if coming is None:
            raise ValueError("no video")
        track = None
        if session.kind is Kind.VIEW:
            published = self._videos[session.of][2]
            assert published is not None
            connection.addTrack(self._relay.subscribe(published))
        else:
            track = Coloured(coming, session.options)
            if session.kind is Kind.CAMERA:
                connection.addTrack(track)
        await connection.setLocalDescription(await connection.createAnswer())
        self._videos[session.id] = (session, connection, track)
        return connection.localDescription.sdp

    async def _obey(self) -> None:
        while True:
            for command in await self._store.commands(self._name, 0.5):
                await self._do(command)

    async def _do(self, command: Command) -> None:
        if command.kind == "view":
            viewer = await self._store.session(command.session)
            if viewer is not None:
                await self._answer(viewer, command.text)
        elif command.session in self._videos:
            session, _, track = self._videos[command.session]
            if command.kind == "options" and track is not None and command.options is not None:
                track.options = command.options
            if command.kind == "end":
                await self._end(command.session)
                await self._store.move(session, State.ENDED, command.reason)

    async def _end(self, name: str) -> None:
        _, connection, _ = self._videos.pop(name)
        await connection.close()


async def main(url: str, name: str) -> None:
    await Double(Store(url), name).run()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:3]))
