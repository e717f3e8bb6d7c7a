"""A virtual camera as a sink: other programs, such as those for video calls, see the frames as a camera.

A thread of its own sends the pictures, so a slow device never holds up the video. It sends the newest frame at the
camera's rate; while frames are late, it repeats the last one, and before the first one it sends black.

Frames are converted from BT.709 to BT.601 in limited range, because a camera's pictures carry no colour space and
readers assume BT.601: v4l2loopback reports the colour space sRGB, for which V4L2 defines the matrix of BT.601;
pyvirtualcam converts RGB with this matrix too; nodes of PipeWire 0.3 have no colour space; browsers convert pictures of
cameras, of any size, by BT.601 (`stream/picture/bt601.py`).
"""

import threading
import time
from fractions import Fraction
from typing import Self

import numpy as np

from stream.address import Address
from stream.errors import UnsupportedOutput
from stream.picture.bt601 import ToBt601
from stream.picture.frames import Frame, Plane, VideoInfo, to_av
from stream.pump import Item, Warnings
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks.cameras import open_camera
from stream.sinks.cameras.base import VirtualCamera
from stream.sinks.cameras.pace import Pace
from stream.slot import Slot

_MAX_RATE = Fraction(60)  # frames per second; more than cameras for calls have
_GRACE_S = 1.0  # for a device that blocks


class CameraSink:
    """As an address: camera: for the first virtual camera, camera:NAME for another one, such as camera:/dev/video10.

    Raises DeviceError, with what to install, if the camera does not exist; `write` raises it if the camera fails later.
    """

    @classmethod
    def from_address(cls, address: Address, options: Options, settings: Settings) -> Self:
        """Raises UnsupportedOutput too."""
        if options.wants_alpha:
            raise UnsupportedOutput("a virtual camera cannot show transparency; choose a background")
        return cls(open_camera(address.name))

    def __init__(self, camera: VirtualCamera) -> None:
        self.warnings: Warnings = []
        self.camera = camera
        self.sent = 0  # pictures, repeated ones included
        self._newest: Slot[Frame] = Slot()
        self._ending = threading.Event()
        self._failure: Exception | None = None
        self._thread: threading.Thread | None = None

    @property
    def dropped(self) -> int:
        """Frames that were not shown, because newer ones arrived before the camera was ready."""
        return self._newest.dropped

    def open(self, info: VideoInfo) -> None:
        rate = min(info.rate, _MAX_RATE)
        size = self.camera.open((info.width, info.height), rate)
        if size != (info.width, info.height):
            sizes = f"{info.width}x{info.height} to {size[0]}x{size[1]}"
            self.warnings.append(("scaled", f"scaled from {sizes}: {self.camera.name} keeps its size while it is used"))
        self._thread = threading.Thread(target=self._run, args=(size, rate), name="camera", daemon=True)
        self._thread.start()

    def write(self, item: Item) -> None:
        """Never waits. Packets of sound are ignored."""
        if self._failure is not None:
            raise self._failure
        if isinstance(item, Frame):
            self._newest.put(item)

    def close(self) -> None:
        """Safe to call more than once. Waits a second at most for a device that blocks."""
        self._ending.set()
        self._newest.cancel()
        if self._thread is not None:
            self._thread.join(_GRACE_S)
        self.camera.close()

    def abort(self) -> None:
        self.close()

    # In the thread.

    def _run(self, size: tuple[int, int], rate: Fraction) -> None:
        try:
            self._send_all(size, rate)
        except Exception as exc:  # noqa: BLE001 - raised by `write`
            self._failure = exc

    def _send_all(self, size: tuple[int, int], rate: Fraction) -> None:
        convert, pixels, pace = ToBt601(size), black(size), Pace(rate, time.monotonic())
        while not self._ending.is_set():
            frame = self._next(pace)
            if frame is not None:
                pixels = np.ascontiguousarray(convert(to_av(frame, "yuv420p")).to_ndarray(), np.uint8)
            if not self._ending.is_set():
                self.camera.send(pixels)
                self.sent += 1
                pace.sent(time.monotonic(), repeated=frame is None)

    def _next(self, pace: Pace) -> Frame | None:
        """The newest frame, as soon as one may be sent; None if the last one has to be repeated."""
        self._ending.wait(max(0.0, pace.earliest_s - time.monotonic()))
        return self._newest.take(max(0.0, pace.latest_s - time.monotonic()))


def black(size: tuple[int, int]) -> Plane:
    """A black I420 picture, uint8 (H*3/2, W), of (width, height) in pixels."""
    width, height = size
    pixels = np.full((height * 3 // 2, width), 128, np.uint8)
    pixels[:height] = 16
    return pixels
