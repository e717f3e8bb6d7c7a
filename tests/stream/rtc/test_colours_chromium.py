"""Colours as Chromium shows them: what it receives against the sent picture, and what returns against its camera."""

import asyncio
import base64
import io
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from stream.picture.colour import rgb_to_i420
from stream.picture.frames import Frame, to_av
from stream.rtc.encoder import RateControl
from stream.rtc.peer import Peer
from stream.rtc.sink import LiveOutput
from stream.sources import open_source
from stream.sources.base import SourceOptions
from tests.colours import COLUMNS, PATCHES, ROWS, chart
from tests.fakes import Unchanged
from tests.rtc import SETTINGS, Video

pytest.importorskip("playwright.async_api", reason="playwright is not installed")
from tests.chromium import CHROMIUM, page, write_y4m

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
WITHIN = 3  # levels, on average
ENOUGH = 25  # pictures: static areas have then reached their best quality
_PAGE = """<!doctype html><style>body { margin: 0 } video { display: block }</style>
<video id=back autoplay playsinline muted></video><video id=local autoplay playsinline muted></video><script>
let pc
const start = async (codec, camera) => {
  if (camera) local.srcObject = await navigator.mediaDevices.getUserMedia({ video: camera })
  pc = new RTCPeerConnection({ iceServers: [] })
  const direction = camera ? 'sendrecv' : 'recvonly', sendEncodings = [{ maxBitrate: 8_000_000 }]
  const line = pc.addTransceiver(camera ? local.srcObject.getTracks()[0] : 'video',
    camera ? { direction, sendEncodings } : { direction })
  line.setCodecPreferences(RTCRtpReceiver.getCapabilities('video').codecs.filter(c => c.mimeType === 'video/' + codec))
  pc.ontrack = ({ track }) => { back.srcObject = new MediaStream([track]) }
  await pc.setLocalDescription()
  while (pc.iceGatheringState !== 'complete') await new Promise(done => setTimeout(done, 20))
  await pc.setRemoteDescription({ type: 'answer', sdp: await answer(pc.localDescription.sdp) })
}
const shown = () => [back.getVideoPlaybackQuality().totalVideoFrames, back.videoWidth]
const record = async (type) => {
  const recorder = new MediaRecorder(back.srcObject, { mimeType: type, videoBitsPerSecond: 8_000_000 }), chunks = []
  recorder.ondataavailable = ({ data }) => chunks.push(data)
  const stopped = new Promise(done => { recorder.onstop = done })
  recorder.start()
  const first = shown()[0]
  while (shown()[0] < first + 30) await new Promise(done => setTimeout(done, 50))
  recorder.stop()
  await stopped
  return text(new Blob(chunks))
}
const text = async (blob) => {
  const bytes = new Uint8Array(await blob.arrayBuffer())
  return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''))
}
const drawn = async (video) => {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight)
  canvas.getContext('2d').drawImage(video, 0, 0)
  return text(await canvas.convertToBlob())
}
</script>"""


@pytest.fixture(autouse=True)
def best_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders keep their best bit rate. Chromium's estimates follow what it receives, which is little of a still
    chart, and VP8 would show the chart coarsely: this is about colours."""
    monkeypatch.setattr(RateControl, "follow", lambda *args: False)


def patches(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """The mean colour in the middle of each patch, RGB (32, 3). picture: RGB (H, W, 3)."""
    height, width = picture.shape[:2]
    middles = [
        (round((row + 0.5) * height / ROWS), round((column + 0.5) * width / COLUMNS))
        for row in range(ROWS)
        for column in range(COLUMNS)
    ]
    return np.array([picture[y - 4 : y + 4, x - 4 : x + 4].reshape(-1, 3).mean(0) for y, x in middles])


async def canvas(tab: Any, video: str) -> npt.NDArray[np.float64]:
    """The patches as a page gets them that draws the video on a canvas."""
    png = io.BytesIO(base64.b64decode(await tab.evaluate(f"drawn({video})")))
    return patches(np.asarray(Image.open(png).convert("RGB")))


async def screen(tab: Any) -> npt.NDArray[np.float64]:
    """The patches of the returned video as the page shows them."""
    png = io.BytesIO(await tab.locator("#back").screenshot())
    return patches(np.asarray(Image.open(png).convert("RGB")))


async def until_shown(tab: Any, width: int) -> None:
    """Wait for enough pictures of that width: Chromium starts a camera with smaller ones."""
    end_s = time.monotonic() + 60
    count = None
    while True:
        shown, now_width = await tab.evaluate("shown()")
        count = shown if count is None or now_width != width else count
        if shown - count >= ENOUGH:
            return
        assert time.monotonic() < end_s, f"{shown} pictures, the last {now_width} wide"
        await asyncio.sleep(0.1)


class Chart:
    """Writes the chart to an output, 15 pictures a second, until it is stopped."""

    def __init__(self, output: LiveOutput, width: int, height: int) -> None:
        self._output, self._pixels = output, rgb_to_i420(chart(width, height))
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def start(self) -> None:
        self._thread.start()

    def _write(self) -> None:
        n = 0
        while not self._stopped.wait(1 / 15):
            frame = Frame(self._pixels, 6000 * n, Fraction(1, 90_000), arrived_s=time.monotonic())
            self._output.write(frame)
            n += 1

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()


@asynccontextmanager
async def viewing(codec: str, size: tuple[int, int]) -> AsyncIterator[Any]:
    """A page that receives the chart, once it shows it in full quality."""
    output, peer = LiveOutput(SETTINGS), Peer(SETTINGS)
    writer = Chart(output, *size)

    async def answer(offer: str) -> str:
        text = await peer.answer(offer, output, incoming=False)
        writer.start()
        return text

    try:
        async with page(None, answer, _PAGE) as tab:
            await tab.set_viewport_size({"width": size[0], "height": size[1]})
            await tab.evaluate(f"start('{codec}', null)")
            await until_shown(tab, size[0])
            yield tab
    finally:
        writer.stop()
        await peer.close("bye")


@pytest.mark.parametrize("size", [(640, 360), (1280, 720)])
@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_viewers_see_the_colours_that_were_sent(codec: str, size: tuple[int, int]) -> None:
    async def run() -> None:
        async with viewing(codec, size) as tab:
            for got in (await canvas(tab, "back"), await screen(tab)):
                errors = np.abs(got - PATCHES)
                print(f"{codec} {size[1]} lines: mean {errors.mean():.2f}, max {errors.max():.1f}")
                assert errors.mean() < WITHIN

    asyncio.run(run())


def test_recordings_have_the_colours_that_were_sent(tmp_path: Path) -> None:
    """The types that the studio records in, in 720 lines."""
    types = {"a.mp4": "video/mp4;codecs=avc1.42E01F", "a.webm": "video/webm;codecs=h264"}

    async def run() -> None:
        async with viewing("H264", (1280, 720)) as tab:
            for name, kind in types.items():
                path = tmp_path / name
                path.write_bytes(base64.b64decode(await tab.evaluate(f"record('{kind}')")))
                source = open_source(path, SourceOptions(), SETTINGS)
                *_, frame = (item for item in source if isinstance(item, Frame))
                source.close()
                rgb = to_av(frame, "yuv420p").reformat(format="rgb24", src_colorspace=1, dst_color_range=2).to_ndarray()
                errors = np.abs(patches(np.asarray(rgb, np.uint8)) - PATCHES)
                print(f"{kind}: mean {errors.mean():.2f}, max {errors.max():.1f}")
                assert errors.mean() < WITHIN

    asyncio.run(run())


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_a_camera_comes_back_in_the_colours_of_its_preview(codec: str, tmp_path: Path) -> None:
    """In 720 lines, where untagged pictures of files would be BT.709."""
    width, height = 1280, 720
    i420 = np.asarray(cv2.cvtColor(chart(width, height), cv2.COLOR_RGB2YUV_I420), np.uint8)
    camera = write_y4m(tmp_path / "chart.y4m", [Frame(i420, 0, Fraction(1))] * 2)

    async def run() -> None:
        video = Video(Unchanged())

        async def answer(offer: str) -> str:
            text = await video.peer.answer(offer, video.output)
            video.start()
            return text

        async with page(camera, answer, _PAGE) as tab:
            await tab.evaluate(f"start('{codec}', {{ width: {width}, height: {height} }})")
            await until_shown(tab, width)
            preview, back = await canvas(tab, "local"), await canvas(tab, "back")
            errors = np.abs(back - preview)
            print(f"{codec}, back against the preview: mean {errors.mean():.2f}, max {errors.max():.1f}")
            assert errors.mean() < WITHIN
            assert np.abs(preview - PATCHES).mean() < WITHIN, "the chart is a camera's picture"
        await video.close()

    asyncio.run(run())
