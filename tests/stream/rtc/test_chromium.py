"""A real browser: the video that comes back for its fake camera has the right colours, size and rate."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from stream.picture.colour import rgb_to_i420
from stream.picture.frames import Frame
from stream.sources.pattern import PatternSource
from tests.fakes import Unchanged
from tests.rtc import SETTINGS, Video, until
from tests.waiting import eventually

pytest.importorskip("playwright.async_api", reason="playwright is not installed")
from tests.chromium import CHROMIUM, page, write_y4m

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
LEFT = (0, 200, 60)


class HalfPainted(Unchanged):
    """Paints the left half one colour and leaves the right half unchanged."""

    def __call__(self, frame: Frame) -> list[Frame]:
        painted = frame.with_pixels(frame.pixels.copy())
        colour = rgb_to_i420(np.full((frame.height, frame.width, 3), LEFT, np.uint8))
        for plane, paint in zip(painted.planes(), frame.with_pixels(colour).planes(), strict=True):
            plane[:, : plane.shape[1] // 2] = paint[:, : plane.shape[1] // 2]
        return [painted]


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_the_video_of_chromiums_camera_comes_back(codec: str, tmp_path: Path) -> None:
    pattern = PatternSource(640, 360, 30)
    camera = write_y4m(tmp_path / "camera.y4m", [pattern.frame(n) for n in range(15)])

    async def run() -> None:
        video = Video(HalfPainted(), SETTINGS)

        async def answer(offer: str) -> str:
            text = await video.peer.answer(offer, video.output)
            video.start()
            return text

        async with page(camera, answer) as tab:
            await tab.evaluate(f"start('{codec}', 640, 360)")
            await tab.wait_for_function("back.videoWidth > 0", timeout=10_000)
            await asyncio.sleep(2.0)  # as long as Chromium may take to scale down
            await eventually(lambda: tab.evaluate("stats().then((s) => s['inbound-rtp'].framesDecoded > 30)"), "frames")
            found = await tab.evaluate("stats()")
            assert found["outbound-rtp"]["frameWidth"] == 640, "the bit rate hint keeps Chromium from scaling down"
            assert found["inbound-rtp"]["frameWidth"] == 640
            left, screen = await tab.evaluate("pixels([[0.2, 0.5], [0.97, 0.1]])")
            assert np.abs(np.subtract(left, LEFT)).max() <= 12
            assert screen[1] > 140 > max(screen[0], screen[2])  # the camera's green screen
            assert video.output.codecs == {codec}
            await tab.evaluate("pc.close()")
            await until(lambda: video.changes[-1] == ("closed", "bye"), 5.0)
        await video.close()
        assert video.error is None

    asyncio.run(run())
