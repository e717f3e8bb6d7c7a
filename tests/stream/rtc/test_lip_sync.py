"""Picture and sound of one event arrive together: a client that flashes and beeps, and measures what comes back."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from aiortc import MediaStreamTrack
from aiortc.rtp import RtcpSrPacket

from stream.picture.frames import Frame
from stream.rtc.aiortc_overrides import report_arrival_times
from tests.fakes import Unchanged
from tests.rtc import Client, live, until

pytestmark = pytest.mark.usefixtures("loopback")

FPS, EVERY_S, LASTS_S = 25, 0.6, 0.32  # flashes and beeps begin with a frame and with a packet of sound
SAMPLES, RATE = 960, 48_000
EVENTS = 8
BRIGHTEST, STEP = 232, 12  # luma of a flash's first frame, and how much darker each one after it is
BEEP_LEVEL = 3000


class Flashes(MediaStreamTrack):
    """Bright during an event, else black. clock: when the first frame or packet was sent, by `time.monotonic`.

    late_s: how long after their capture frames are sent.
    """

    kind = "video"

    def __init__(self, clock: asyncio.Future[float], late_s: float) -> None:
        super().__init__()
        self._clock, self._late_s, self._n = clock, late_s, 0

    async def recv(self) -> av.VideoFrame:
        seconds = self._n / FPS
        await _wait(self._clock, seconds + self._late_s)
        since = self._n % round(EVERY_S * FPS)
        luma = BRIGHTEST - STEP * since if since < LASTS_S * FPS else 16
        planes = np.full((144, 128), 128, np.uint8)
        planes[:96] = luma
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base, self._n = self._n * (90_000 // FPS), Fraction(1, 90_000), self._n + 1
        return frame


class Beeps(MediaStreamTrack):
    """A tone during an event, else silence."""

    kind = "audio"

    def __init__(self, clock: asyncio.Future[float]) -> None:
        super().__init__()
        self._clock, self._n = clock, 0

    async def recv(self) -> av.AudioFrame:
        times_s = (self._n * SAMPLES + np.arange(SAMPLES)) / RATE
        await _wait(self._clock, float(times_s[0]))
        tone = 12_000 * np.sin(2 * np.pi * 1000 * times_s) * (times_s % EVERY_S < LASTS_S)
        frame = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None], format="s16", layout="mono")
        frame.pts, frame.sample_rate, self._n = self._n * SAMPLES, RATE, self._n + 1
        return frame


async def _wait(clock: asyncio.Future[float], seconds: float) -> None:
    if not clock.done():
        clock.set_result(time.monotonic())
    await asyncio.sleep(max(0.0, clock.result() + seconds - time.monotonic()))


@dataclass
class Received:
    """What a receiver got, by raw RTP timestamp. reports: (RTP, NTP in seconds) of its sender reports."""

    clock_rate: int
    arrivals_s: dict[int, float] = field(default_factory=dict)
    reports: list[tuple[int, float]] = field(default_factory=list)

    def listen(self, receiver: Any) -> None:
        handle_rtp, handle_rtcp = receiver._handle_rtp_packet, receiver._handle_rtcp_packet

        async def rtp(packet: Any, arrival_time_ms: int) -> None:
            self.arrivals_s[packet.timestamp] = time.monotonic()
            await handle_rtp(packet, arrival_time_ms)

        async def rtcp(packet: Any) -> None:
            if isinstance(packet, RtcpSrPacket) and packet.sender_info.ntp_timestamp:
                self.reports.append((packet.sender_info.rtp_timestamp, packet.sender_info.ntp_timestamp / 2**32))
            await handle_rtcp(packet)

        receiver._handle_rtp_packet, receiver._handle_rtcp_packet = rtp, rtcp
        self._mapper = receiver._RTCRtpReceiver__timestamp_mapper

    def raw(self, pts: int) -> int:
        return int(pts + self._mapper._origin) % 2**32

    def reported_s(self, pts: float) -> float:
        """When the sender says that this was captured, as a receiver computes it: by the median report."""
        ticks = [(self.raw(0) + pts - rtp + 2**31) % 2**32 - 2**31 for rtp, _ in self.reports]
        return float(np.median([ntp + n / self.clock_rate for n, (_, ntp) in zip(ticks, self.reports, strict=True)]))


class Late(Unchanged):
    """Takes `seconds` for each frame; may be changed."""

    seconds = 0.0

    def __call__(self, frame: Frame) -> list[Frame]:
        time.sleep(self.seconds)
        return super().__call__(frame)


@asynccontextmanager
async def calling(transform: Late, late_s: float) -> AsyncIterator[tuple[Client, Received, Received]]:
    """A live video with picture and sound, once both have been measured long enough for EVENTS events."""
    clock: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    client = Client(None, "VP8")
    (line,) = client.pc.getTransceivers()
    line.direction = "sendrecv"
    line.sender.replaceTrack(Flashes(clock, late_s))
    report_arrival_times(line.sender, lambda: late_s)
    client.pc.addTransceiver(Beeps(clock), "sendrecv")
    picture, sound = Received(90_000), Received(RATE)
    for received, receiver in zip((picture, sound), client.pc.getReceivers(), strict=True):
        received.listen(receiver)
    async with live(client, transform) as video:
        await until(lambda: client.pictures and client.sounds, what="picture and sound")
        await asyncio.sleep(1.5)  # the delay settles
        client.pictures.clear()
        client.sounds.clear()
        await asyncio.sleep(EVENTS * EVERY_S)
        yield client, picture, sound
    assert video.error is None


def flashes(client: Client) -> list[tuple[int, float]]:
    """Of each flash, the pts of the first frame seen, and its time in seconds since the flash began."""
    frames = [frame for _, frame in client.pictures]
    luma = [float(np.asarray(frame.planes[0]).mean()) for frame in frames]
    bright = [level > BRIGHTEST - LASTS_S * FPS * STEP for level in luma]
    return [
        (frames[n].pts or 0, round((BRIGHTEST - luma[n]) / STEP) / FPS)
        for n in range(1, len(frames))
        if bright[n] and not bright[n - 1]
    ]


def beeps(client: Client) -> list[int]:
    """The pts of the first sample of each beep."""
    frames = [frame for _, frame in client.sounds]
    levels: npt.NDArray[np.int64] = np.concatenate(
        [abs(f.to_ndarray().reshape(-1, 2)[:, 0].astype(int)) for f in frames]
    )
    times = np.concatenate([(f.pts or 0) + np.arange(f.samples) for f in frames])
    loud = np.flatnonzero(levels > BEEP_LEVEL)
    first = loud[np.diff(loud, prepend=-RATE) > RATE // 10]
    return [int(pts) for pts in times[first[first > 0]]]


def arrived_s(sound: Received, pts: int) -> float:
    """When a sample arrived: its packet's arrival and its place in the packet."""
    raw = sound.raw(pts)
    start = max(timestamp for timestamp in sound.arrivals_s if (raw - timestamp) % 2**32 < SAMPLES)
    return sound.arrivals_s[start] + (raw - start) / RATE


def offsets_ms(events_s: list[float], others_s: list[float]) -> npt.NDArray[np.float64]:
    """How much later than each event the nearest of the others is. On a busy machine, whose client sends or receives
    with long pauses, a few events have none of their own: they are left out."""
    nearest = [min((other - event for other in others_s), key=abs) for event in events_s]
    found = [offset_s for offset_s in nearest if abs(offset_s) < EVERY_S / 2]
    assert len(found) >= 0.7 * EVENTS
    return 1000 * np.array(found)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(("delay_s", "late_s"), [(0.0, 0.0), (0.12, 0.0), (0.03, 0.1)])
def test_flashes_and_beeps_arrive_together(delay_s: float, late_s: float) -> None:
    """delay_s: of the picture in the engine; with 120 ms, most frames are dropped.

    late_s: the client's delay of the picture, by encoding and a slow network, which its sender reports tell.
    """

    async def run() -> None:
        transform = Late()
        transform.seconds = delay_s
        async with calling(transform, late_s) as (client, picture, sound):
            seen, heard = flashes(client), beeps(client)
            arrivals = offsets_ms(
                [picture.arrivals_s[picture.raw(pts)] - since_s for pts, since_s in seen],
                [arrived_s(sound, pts) for pts in heard],
            )
            reported = offsets_ms(
                [picture.reported_s(pts) - since_s for pts, since_s in seen], [sound.reported_s(pts) for pts in heard]
            )
            print(f"sound after picture: arrivals {arrivals.mean():.0f} ms (sd {arrivals.std():.0f}), ", end="")
            print(f"by reports {reported.mean():.0f} ms (sd {reported.std():.0f}), {len(arrivals)} events")
            assert abs(np.median(arrivals)) < 45
            assert abs(np.median(reported)) < 45

    asyncio.run(run())
