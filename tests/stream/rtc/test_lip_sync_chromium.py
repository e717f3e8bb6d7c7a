"""Lip sync as Chromium plays it: a page flashes and beeps, and compares what comes back with what it sent."""

import asyncio
from collections import deque
from typing import Any

import numpy as np
import pytest

from stream.picture.frames import Frame
from tests.fakes import Unchanged
from tests.rtc import Video

pytest.importorskip("playwright.async_api", reason="playwright is not installed")
from tests.chromium import CHROMIUM, page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
SETTLE_S, MEASURED_MS = 12, 16_000

PAGE = """<!doctype html><body><script>
let context, source, received, pc
const BEEPS = `registerProcessor('beeps', class extends AudioWorkletProcessor {
  quiet = 9999
  process([[samples]]) {
    samples?.forEach((sample, n) => {
      if (Math.abs(sample) < 0.08) { this.quiet++; return }
      if (this.quiet > 4800) this.port.postMessage(currentTime + n / sampleRate)
      this.quiet = 0
    })
    return true
  }
})`
const makeSource = async () => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 180 })
  const c = canvas.getContext('2d')
  context = new AudioContext()
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([BEEPS], { type: 'text/javascript' })))
  const tone = new OscillatorNode(context, { frequency: 1000 }), gain = new GainNode(context, { gain: 0 })
  const out = context.createMediaStreamDestination()
  tone.connect(gain).connect(out)
  tone.start()
  let n = 0
  setInterval(() => {
    const on = n % 24 < 4
    if (n % 24 === 0 || n % 24 === 4) gain.gain.setValueAtTime(on ? 0.5 : 0, context.currentTime)
    c.fillStyle = on ? '#fff' : '#000'
    c.fillRect(0, 0, 320, 180)
    n++
  }, 33)
  source = new MediaStream([...canvas.captureStream(30).getTracks(), ...out.stream.getTracks()])
}
const start = async () => {
  await makeSource()
  pc = new RTCPeerConnection({ iceServers: [] })
  received = new MediaStream()
  pc.ontrack = ({ track }) => received.addTrack(track)
  for (const track of source.getTracks()) pc.addTransceiver(track, { direction: 'sendrecv', streams: [source] })
  await pc.setLocalDescription()
  while (pc.iceGatheringState !== 'complete') await new Promise(done => setTimeout(done, 20))
  await pc.setRemoteDescription({ type: 'answer', sdp: await answer(pc.localDescription.sdp) })
}
const watch = async (stream, forMs) => {
  const flashes = [], beeps = []
  const node = new AudioWorkletNode(context, 'beeps')
  const sound = context.createMediaStreamSource(new MediaStream(stream.getAudioTracks()))
  sound.connect(node).connect(new GainNode(context, { gain: 0 })).connect(context.destination)
  node.port.onmessage = ({ data }) => {
    const { contextTime, performanceTime } = context.getOutputTimestamp()
    beeps.push(performanceTime + (data - contextTime) * 1000)
  }
  const video = Object.assign(document.createElement('video'), { muted: true, srcObject: stream })
  document.body.append(video)
  await video.play()
  const c = new OffscreenCanvas(16, 9).getContext('2d', { willReadFrequently: true })
  let last = 0
  const look = (now, { expectedDisplayTime }) => {
    c.drawImage(video, 0, 0, 16, 9)
    const level = c.getImageData(8, 5, 1, 1).data[0]
    if (level > 128 && last <= 128) flashes.push(expectedDisplayTime)
    last = level
    video.requestVideoFrameCallback(look)
  }
  video.requestVideoFrameCallback(look)
  await new Promise(done => setTimeout(done, forMs))
  video.remove()
  sound.disconnect()
  return { flashes, beeps }
}
</script>"""


class HeldBack(Unchanged):
    """Returns each frame when `count` more have come, as temporal smoothing that looks ahead does."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        self._frames: deque[Frame] = deque()

    def __call__(self, frame: Frame) -> list[Frame]:
        self._frames.extend(super().__call__(frame))
        return [self._frames.popleft()] if len(self._frames) > self._count else []


def sound_after_picture_ms(seen: dict[str, list[float]]) -> float:
    """The median over all flashes; the first and the last are left out, because their beeps may be."""
    offsets = [min((beep - flash for beep in seen["beeps"]), key=abs) for flash in seen["flashes"][1:-1]]
    assert len(offsets) > 6
    return float(np.median(offsets))


@pytest.mark.parametrize("frames", [0, 8])
def test_chromium_plays_picture_and_sound_together(frames: int) -> None:
    """frames: how many the server holds back."""

    async def run() -> None:
        video = Video(HeldBack(frames))

        async def answer(offer: str) -> str:
            text = await video.peer.answer(offer, video.output)
            video.start()
            return text

        async with page(None, answer, PAGE) as tab:
            await tab.evaluate("start()")
            playing: Any = asyncio.create_task(tab.evaluate(f"watch(received, {1000 * SETTLE_S + MEASURED_MS})"))
            sent = sound_after_picture_ms(await tab.evaluate(f"watch(source, {1000 * SETTLE_S})"))
            seen = await playing
            half = {name: [t for t in times if t > seen["beeps"][-1] - MEASURED_MS] for name, times in seen.items()}
            got = sound_after_picture_ms(half)
            print(f"sound after picture: sent {sent:.0f} ms, played {got:.0f} ms", end="; ")
            print(f"pictures came {1000 * video.peer._clock.skew_s:.0f} ms after sound")
            assert abs(got - sent) < 60, "Chromium itself corrects what is above 30 ms only"
        await video.close()

    asyncio.run(run())
