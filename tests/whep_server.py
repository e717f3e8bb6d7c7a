"""A WHEP server for tests: HTTP on loopback, and Mattebox's sending side of WebRTC, which plays a clip."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from stream.picture.frames import Frame
from stream.rtc.aiortc_overrides import Encoded
from stream.rtc.decoding import CLOCK
from stream.rtc.peer import Peer
from stream.rtc.sink import LiveOutput
from stream.sources import open_source
from stream.sources.base import SourceOptions
from tests.rtc import SETTINGS
from tests.whip_server import WhipServer


class WhepServer(WhipServer):
    """Plays a clip, with Opus if it has sound, again and again. declines_sound: it answers without sound.

    loses: every so many-th packet of media is lost; 0: none. lost: their number. sent: the RTP timestamps of the
    pictures of which packets were sent or lost.
    """

    def __init__(self, clip: Path) -> None:
        super().__init__()
        self.url = self.url.replace("/whip/", "/whep/")
        self.declines_sound = False
        self.loses = self.lost = 0
        self.sent: set[bytes] = set()
        self._clip, self._ending = clip, threading.Event()
        self.output = self.call(_output())
        self._playing = threading.Thread(target=self._play)
        self._playing.start()

    def answer(self, offer: str) -> tuple[str, str]:
        self.offers.append(offer)
        path = f"/whep/stage/{len(self.offers)}"
        answer = self.call(self._answer(path, offer))
        return path, re.sub("m=audio [0-9]+", "m=audio 0", answer) if self.declines_sound else answer

    async def _answer(self, path: str, offer: str) -> str:
        peer = self.peers[path] = Peer(SETTINGS)
        answer = await peer.answer(offer, self.output, incoming=False)
        if self.loses:
            for transceiver in peer._pc.getTransceivers():  # type: ignore[union-attr]
                self._lose(transceiver)
        return answer

    def _lose(self, transceiver: Any) -> None:
        """Lose packets of media (RTP) that the transport of the transceiver sends, at irregular distances."""
        transport, video = transceiver.sender.transport.transport, transceiver.kind == "video"
        ssrc = transceiver.sender._ssrc.to_bytes(4, "big")
        send, random = transport._send, Random(0)

        async def lossy(data: bytes) -> None:
            if video and data[8:12] == ssrc and data[0] & 0xC0 == 0x80:
                self.sent.add(data[4:8])
            if data[0] & 0xC0 == 0x80 and not 64 <= data[1] & 0x7F < 96 and not random.randrange(self.loses):
                self.lost += 1
            else:
                await send(data)

        transport._send = lossy

    def _play(self) -> None:
        began_s, start_s = time.monotonic(), 0.0
        while not self._ending.is_set():
            source = open_source(self._clip, SourceOptions(), SETTINGS)
            last_s = 0.0
            for item in source:
                time_s = item.time_s if isinstance(item, Frame) else float(item.pts * item.time_base)  # type: ignore[operator]
                due_s = began_s + start_s + time_s
                if self._ending.wait(max(0.0, due_s - time.monotonic())):
                    break
                self._write(item, start_s + time_s, due_s)
                last_s = max(last_s, time_s) if isinstance(item, Frame) else last_s
            start_s += last_s + 1 / float(source.info.rate)
            source.close()

    def _write(self, item: Any, time_s: float, arrived_s: float) -> None:
        if isinstance(item, Frame):
            self.output.write(replace(item, pts=round(time_s * 90_000), time_base=CLOCK, arrived_s=arrived_s))
        else:
            sound = Encoded("opus", bytes(item), round(time_s * 48_000), arrived_s)
            self.loop.call_soon_threadsafe(self.output.play, sound)

    def close(self) -> None:
        self._ending.set()
        self._playing.join()
        super().close()


async def _output() -> LiveOutput:
    return LiveOutput(SETTINGS)


@contextmanager
def whep_server(clip: Path) -> Iterator[WhepServer]:
    server = WhepServer(clip)
    try:
        yield server
    finally:
        server.close()
