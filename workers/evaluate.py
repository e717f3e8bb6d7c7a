"""The field's metrics of an alpha video against the truth: MAD, MSE, Grad, Conn, dtSSD.

Definitions: Grad and Conn are those of Rhemann et al. (CVPR 2009), dtSSD that of Erofeev et al. (BMVC 2015), in the
scales that papers on video matting print. Alpha is 0-1 throughout and is never normalised per frame. Reads two
videos side by side, one frame of each at a time; knows nothing about engines.
"""

import functools
import math
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.reformatter import ColorRange

from stream.errors import InputError, UnreadableMedia
from stream.frames import Plane, has_alpha
from stream.settings import Settings
from stream.sources import container as media

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int16]

_SIGMA, _EPSILON = 1.4, 1e-2  # of Grad's filter: its width, and how small its outermost tap may be
_LEVELS = 10  # Conn's thresholds are 0.1 apart
_PRINTF = re.compile(r"%0?(\d*)d")
_PLAIN = ("gray", "yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p")
_PLAIN_ALPHA = ("yuva420p", "yuva422p", "yuva444p")


@dataclass(frozen=True)
class Scores:
    """Means over all frames compared; smaller is better.

    mad, mse: x 1e3. grad, conn: sums over the picture / 1000. dtssd: x 1e2, its mean leaves out the first frame, which
    has none before it; None for a single frame. warning: empty, or what to know before trusting the figures.
    """

    frames: int
    mad: float
    mse: float
    grad: float
    conn: float
    dtssd: float | None
    warning: str = ""


def evaluate(
    pred_path: Path, true_path: Path, settings: Settings, on_frame: Callable[[int], None] | None = None
) -> Scores:
    """Compare two alpha videos frame by frame, in order; memory does not grow with their length.

    Each path is a video, a folder of PNG files or a pattern such as `%05d.png`. on_frame: called with the number of
    frames compared so far. One frame more on either side is compared without it, with a warning: encoders lose or
    repeat one at the end. A greater difference means that the frames do not belong together.
    Raises UnreadableMedia, NoVideoStream, TooLarge, and InputError where sizes or lengths differ.
    """
    totals, compared, extra = _Totals(), 0, [0, 0]
    with closing(AlphaVideo(pred_path, settings)) as pred, closing(AlphaVideo(true_path, settings)) as true:
        for p, t in zip_longest(pred, true):
            if p is None or t is None:
                extra[p is None] += 1
                continue
            if p.shape != t.shape:
                raise InputError(f"sizes differ: {pred_path} is {_size(p)}, {true_path} is {_size(t)}")
            totals.add(p, t)
            compared += 1
            if on_frame is not None:
                on_frame(compared)
    counts = f"{pred_path} has {compared + extra[0]} frames, {true_path} has {compared + extra[1]}"
    if sum(extra) > 1:
        raise InputError(f"lengths differ: {counts}")
    return totals.scores(f"{counts}; the first {compared} were compared" if sum(extra) else "")


class AlphaVideo:
    """The alpha of a video, frame by frame, as uint8 (H, W), 0-255.

    A video's own transparency where its pixel format has any, else its brightness with the range its samples have.
    Iteration raises UnreadableMedia, NoVideoStream, TooLarge.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path, self._settings = path, settings
        self._planes = self._read()

    def __iter__(self) -> Iterator[Plane]:
        return self._planes

    def close(self) -> None:
        self._planes.close()

    def _read(self) -> Generator[Plane, None, None]:
        count = 0
        for container in self._containers():
            with container:
                for plane in self._decoded(container):
                    count += 1
                    yield plane
        if not count:
            raise UnreadableMedia(f"{self._path}: not a single frame could be decoded")

    def _containers(self) -> Iterator[InputContainer]:
        """The video; each picture of a sequence is a video of one frame."""
        path = self._path
        if path.is_dir() or _PRINTF.search(path.name) or path.suffix.lower() == ".png":
            yield from (_open_png(file, self._settings) for file in _sequence(path))
        else:
            yield media.open_container(path, self._settings)

    def _decoded(self, container: InputContainer) -> Iterator[Plane]:
        stream = media.video_stream(container, self._settings)
        decoder = media.decoder(stream, self._settings.codec_threads())
        try:
            for packet in container.demux(stream):
                for picture in decoder.decode(packet if packet.size else None):
                    yield alpha_of(picture)
        except av.error.FFmpegError as exc:
            raise UnreadableMedia(f"{container.name.removeprefix('file:')} is damaged ({exc.strerror})") from None


def alpha_of(picture: av.VideoFrame) -> Plane:
    """uint8 (H, W), 0-255: the picture's transparency, or its brightness brought to full range."""
    name = picture.format.name
    if name in _PLAIN_ALPHA:
        return _plane(picture, 3)  # alpha is full range whatever the colours are
    if has_alpha(name):
        return np.ascontiguousarray(picture.to_ndarray(format="rgba")[..., 3])
    if name not in _PLAIN:
        return _plane(picture.reformat(format="gray", dst_color_range=ColorRange.JPEG), 0)
    luma = _plane(picture, 0)
    full = name.startswith(("gray", "yuvj")) or picture.color_range == ColorRange.JPEG
    return luma if full else np.asarray(cv2.LUT(luma, _full_range()), np.uint8)


def mad(error: Ints) -> float:
    """Mean absolute difference x 1e3. error: int16 (H, W), prediction minus truth, -255 to 255."""
    return float(np.abs(error).mean()) / 255 * 1e3


def mse(error: Ints) -> float:
    """Mean squared difference x 1e3. error: as for `mad`."""
    return float(np.square(error, dtype=np.int32).mean()) / 255**2 * 1e3


def dtssd(error: Ints, previous: Ints) -> float:
    """How much the change from frame to frame differs from the truth's, x 1e2. error, previous: as for `mad`.

    (p - p') - (t - t') is (p - t) - (p' - t'): the errors of this frame and the one before are all it takes.
    """
    return math.sqrt(float(np.square(error - previous, dtype=np.int32).mean())) / 255 * 1e2


def grad(pred: Plane, true: Plane) -> float:
    """Squared difference of gradient magnitudes, summed, / 1000. Two uint8 (H, W)."""
    difference = _gradient(pred) - _gradient(true)
    return float(np.square(difference, dtype=np.float64).sum()) / 1000


def conn(pred: Plane, true: Plane) -> float:
    """Difference in connectedness to the largest region that both share, summed, / 1000. Two uint8 (H, W).

    Whole numbers throughout, in units of 1/2550: no threshold hangs on how a fraction was rounded.
    """
    level = _connected_level(np.minimum(pred, true))
    lost_pred, lost_true = (_disconnected(plane, level) for plane in (pred, true))
    return float(np.abs(lost_pred - lost_true).sum(dtype=np.int64)) / 2550 / 1000


class _Totals:
    """Sums of the metrics so far, and the error of the frame before."""

    def __init__(self) -> None:
        self._sums = dict.fromkeys(("mad", "mse", "grad", "conn", "dtssd"), 0.0)
        self._frames = 0
        self._previous: Ints | None = None

    def add(self, pred: Plane, true: Plane) -> None:
        error = pred.astype(np.int16) - true
        self._sums["mad"] += mad(error)
        self._sums["mse"] += mse(error)
        self._sums["grad"] += grad(pred, true)
        self._sums["conn"] += conn(pred, true)
        if self._previous is not None:
            self._sums["dtssd"] += dtssd(error, self._previous)
        self._previous = error
        self._frames += 1

    def scores(self, warning: str) -> Scores:
        mad, mse, grad, conn, dtssd = self._sums.values()
        n = self._frames
        return Scores(n, mad / n, mse / n, grad / n, conn / n, dtssd / (n - 1) if n > 1 else None, warning)


def _gradient(plane: Plane) -> Floats:
    """Gradient magnitude by first derivatives of a Gaussian, edges replicated: float32 (H, W)."""
    alpha = plane.astype(np.float32) / 255
    smooth, slope = _grad_filter()
    x, y = (
        cv2.sepFilter2D(alpha, cv2.CV_32F, across, down, borderType=cv2.BORDER_REPLICATE)
        for across, down in ((slope, smooth), (smooth, slope))
    )
    return np.asarray(cv2.magnitude(x, y), np.float32)


@functools.cache
def _grad_filter() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The two factors of the filter, whose squares sum to 1: a Gaussian, and its derivative."""
    half = math.ceil(_SIGMA * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * _SIGMA * _EPSILON)))
    x = np.arange(-half, half + 1, dtype=np.float64)
    smooth = np.exp(-(x**2) / (2 * _SIGMA**2))
    slope = x * smooth
    return smooth / np.linalg.norm(smooth), slope / np.linalg.norm(slope)


def _connected_level(both: Plane) -> Ints:
    """In tenths, how far each pixel stays in the largest region as the threshold rises. both: the smaller alpha."""
    level = np.zeros(both.shape, np.int16)
    connected = np.ones(both.shape, np.bool_)
    for tenth in range(1, _LEVELS + 1):
        region = _largest_region(both >= math.ceil(25.5 * tenth))
        if region is None:
            break
        connected &= region
        level += connected
    return level


def _largest_region(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_] | None:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    if count < 2:
        return None
    return np.asarray(labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()))


def _disconnected(plane: Plane, level: Ints) -> Ints:
    """What of alpha lies above its connected level, in 1/2550; less than 0.15 counts as nothing."""
    above = plane.astype(np.int16) * 10 - level * 255
    return np.where(above >= 383, above, 0).astype(np.int16)


def _open_png(path: Path, settings: Settings) -> InputContainer:
    options = {"protocol_whitelist": "file", "max_pixels": str(settings.max_pixels)}
    try:
        with path.open("rb") as file:
            if file.read(8) != b"\x89PNG\r\n\x1a\n":
                raise UnreadableMedia(f"{path} is not a PNG picture")
        return av.open(f"file:{path.absolute()}", format="png_pipe", options=options)
    except (OSError, av.error.FFmpegError) as exc:
        raise UnreadableMedia(f"{path} cannot be read ({exc.strerror})") from None


def _sequence(path: Path) -> list[Path]:
    """The PNG files of a folder, of a pattern (`%05d.png`), or the one file, by the last number in their names."""
    folder, pattern = (path, r".*\.png") if path.is_dir() else (path.parent, _names(path.name))
    if not folder.is_dir():
        raise UnreadableMedia(f"{path} does not exist")
    files = [f for f in folder.iterdir() if re.fullmatch(pattern, f.name, re.IGNORECASE)]
    if not files:
        raise UnreadableMedia(f"{path}: there are no PNG files of that name")
    return sorted(files, key=lambda f: (int((re.findall(r"\d+", f.stem) or ["0"])[-1]), f.name))


def _names(pattern: str) -> str:
    """A printf pattern as a regular expression: `%05d` stands for five digits or more, `%d` for any."""
    before, width, after = re.split(_PRINTF, pattern) if _PRINTF.search(pattern) else (pattern, None, "")
    digits = "" if width is None else rf"\d{{{width or 1},}}"
    return re.escape(before) + digits + re.escape(after)


def _plane(picture: av.VideoFrame, index: int) -> Plane:
    """A copy of one 8-bit plane of the picture's size."""
    plane = picture.planes[index]
    rows = np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, plane.line_size)
    return np.ascontiguousarray(rows[:, : plane.width])


@functools.cache
def _full_range() -> Plane:
    """Limited-range luma to 0-255."""
    full: Plane = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)
    return full


def _size(plane: Plane) -> str:
    return f"{plane.shape[1]}x{plane.shape[0]}"
