"""Debian's Chromium, headless, as a WebRTC client: it sends a fake camera and reads the result from a canvas."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import async_playwright

from stream.picture.frames import Frame

PAGE = """<!doctype html><video id=back autoplay playsinline muted></video><script>
let pc
const start = async (codec, width, height) => {
  const camera = await navigator.mediaDevices.getUserMedia({video: {width, height, frameRate: 30}})
  pc = new RTCPeerConnection({iceServers: []})
  const line = pc.addTransceiver(camera.getVideoTracks()[0], {direction: 'sendrecv'})
  const codecs = RTCRtpSender.getCapabilities('video').codecs
  line.setCodecPreferences(codecs.filter(c => c.mimeType === 'video/' + codec))
  pc.ontrack = e => back.srcObject = new MediaStream([e.track])
  await pc.setLocalDescription()
  await new Promise(done => {
    pc.onicegatheringstatechange = () => pc.iceGatheringState === 'complete' && done()
    if (pc.iceGatheringState === 'complete') done()
  })
  await pc.setRemoteDescription({type: 'answer', sdp: await answer(pc.localDescription.sdp)})
}
const pixels = (points) => {
  const canvas = new OffscreenCanvas(back.videoWidth, back.videoHeight), c = canvas.getContext('2d')
  c.drawImage(back, 0, 0)
  return points.map(([x, y]) => [...c.getImageData(x * canvas.width, y * canvas.height, 1, 1).data].slice(0, 3))
}
const stats = async () => {
  const found = {}
  for (const s of (await pc.getStats()).values())
    if (['inbound-rtp', 'outbound-rtp'].includes(s.type)) found[s.type] = s
  return found
}
</script>"""

CHROMIUM = shutil.which("chromium")
_FLAGS = [
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
]


@asynccontextmanager
async def page(camera: Path | None, answer: Callable[[str], Awaitable[str]], html: str = PAGE) -> AsyncIterator[Any]:
    """The page above, with the video file `camera` (.y4m) as its camera; `answer` turns its offer into an answer."""
    async with async_playwright() as run:
        flags = [*_FLAGS, *([f"--use-file-for-fake-video-capture={camera}"] if camera else [])]
        browser = await run.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            tab = await browser.new_page()
            await tab.expose_function("answer", answer)
            await tab.route("**/*", lambda route: route.fulfill(body=html, content_type="text/html"))
            await tab.goto("http://127.0.0.1/")
            yield tab
        finally:
            await browser.close()


def write_y4m(path: Path, frames: list[Frame]) -> Path:
    """Write I420 frames as Chromium's fake camera reads them."""
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{frames[0].width} H{frames[0].height} F30:1 Ip A1:1 C420jpeg\n".encode())
        for frame in frames:
            file.write(b"FRAME\n" + frame.pixels.tobytes())
    return path
