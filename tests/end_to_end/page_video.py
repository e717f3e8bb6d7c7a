"""Read the video that the studio shows: a part of the picture over several frames."""

import base64
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.end_to_end.camera_scene import Box

Pictures = npt.NDArray[np.int64]
"""(frames, height, width, 3), RGB."""

# The box in `count` consecutive pictures, all of one size.
_LOOK = """async ([box, count, patience]) => {
  const canvas = document.createElement('canvas'), c = canvas.getContext('2d', { willReadFrequently: true });
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  const ends = performance.now() + patience;
  let size = '', pictures = [];
  while (pictures.length < count && performance.now() < ends) {
    const video = document.querySelector('.stage video.shown');
    if (!video) { await pause(50); continue; }
    await Promise.race([new Promise((done) => video.requestVideoFrameCallback(done)), pause(700)]);
    if (!video.videoWidth) continue;
    const [left, right] = [0, 2].map((side) => Math.round(box[side] * video.videoWidth));
    const [top, bottom] = [1, 3].map((side) => Math.round(box[side] * video.videoHeight));
    canvas.width = right - left; canvas.height = bottom - top;
    c.drawImage(video, left, top, canvas.width, canvas.height, 0, 0, canvas.width, canvas.height);
    if (`${canvas.width} ${canvas.height}` !== size) { size = `${canvas.width} ${canvas.height}`; pictures = []; }
    pictures.push(c.getImageData(0, 0, canvas.width, canvas.height).data);
  }
  const text = (bytes) => { let all = ''; for (const b of bytes) all += String.fromCharCode(b); return btoa(all); };
  return [canvas.width, canvas.height, pictures.map(text)];
}"""


def look(tab: Any, box: Box, count: int = 1) -> Pictures:
    """That part of the next `count` pictures; fewer if no picture comes for some seconds."""
    width, height, texts = tab.evaluate(_LOOK, [list(box), count, 3000 + 100 * count])
    data = np.frombuffer(b"".join(map(base64.b64decode, texts)), np.uint8)
    return data.reshape(len(texts), height, width, 4)[..., :3].astype(np.int64)


def becomes(measure: Callable[[], float], holds: Callable[[float], bool], limit_s: float = 10.0) -> float:
    """Measure until the condition holds, and return that value."""
    end_s = time.monotonic() + limit_s
    while not holds(value := measure()):
        assert time.monotonic() < end_s, f"it stayed {value:.2f}"
    return value
