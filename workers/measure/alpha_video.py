"""Reads the alpha of a video, frame by frame, as uint8 planes of 0-255.

An alpha video may be a video with transparency (WebM, ProRes 4444, FFV1), a grey video whose brightness is the alpha,
in limited or full range, or PNG files in a folder. `AlphaVideo` reads all of them, one frame at a time. Knows nothing
about what the planes are used for.
"""

import functools
import re
from collections.abc import Generator, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.reformatter import ColorRange

from stream.errors import UnreadableMedia
from stream.picture.display_matrix import Display, Displays
from stream.picture.frames import Plane, has_alpha
from stream.settings import Settings
from stream.sources import container as media

_PRINTF = re.compile(r"%0?(\d*)d")
_PLAIN = ("gray", "yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p")
_PLAIN_ALPHA = ("yuva420p", "yuva422p", "yuva444p")


class AlphaVideo:
    """The alpha of a video, frame by frame, as uint8 (H, W), 0-255, upright.

    path: a video, a folder of PNG files, a pattern such as `%05d.png`, or one PNG file. Alpha is the video's
    transparency if its pixel format has any, otherwise its brightness, expanded to full range. GIF always has a pixel
    format with transparency, which is used only if a pixel of the first frame is not opaque.
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
        """The video, or one single-frame container per file of a sequence."""
        path = self._path
        if path.is_dir() or _PRINTF.search(path.name) or path.suffix.lower() == ".png":
            yield from (_open_png(file, self._settings) for file in _sequence(path))
        else:
            yield media.open_container(path, self._settings)

    def _decoded(self, container: InputContainer) -> Iterator[Plane]:
        stream = media.video_stream(container, self._settings)
        decoder = media.decoder(stream, self._settings)
        grey = None if stream.codec_context.name == "gif" else False
        displays = Displays()
        try:
            for packet in container.demux(stream):
                for picture in decoder.decode(packet if packet.size else None):
                    if grey is None:
                        grey = bool(_transparency(picture).min() == 255)
                    displays.apply(picture)
                    plane = _brightness(picture) if grey else _alpha(picture)
                    yield np.ascontiguousarray(Display.of_frame(picture).orientation.upright(plane))
        except av.error.FFmpegError:
            raise UnreadableMedia(f"{container.name.removeprefix('file:')} is damaged: it cannot be decoded") from None


def _alpha(picture: av.VideoFrame) -> Plane:
    return _transparency(picture) if has_alpha(picture.format.name) else _brightness(picture)


def _transparency(picture: av.VideoFrame) -> Plane:
    """The alpha, uint8 (H, W), 0-255, of a picture whose pixel format has it."""
    if picture.format.name in _PLAIN_ALPHA:
        return _plane(picture, 3)  # alpha is full range, whatever the range of the colours
    return np.ascontiguousarray(picture.to_ndarray(format="rgba")[..., 3])


def _brightness(picture: av.VideoFrame) -> Plane:
    """Luma, uint8 (H, W), expanded to full range."""
    name = picture.format.name
    if name not in _PLAIN:
        return _plane(picture.reformat(format="gray", dst_color_range=ColorRange.JPEG), 0)
    luma = _plane(picture, 0)
    full = name.startswith(("gray", "yuvj")) or picture.color_range == ColorRange.JPEG
    return luma if full else np.asarray(cv2.LUT(luma, _full_range()), np.uint8)


def _open_png(path: Path, settings: Settings) -> InputContainer:
    options = {"protocol_whitelist": "file", "max_pixels": str(settings.max_pixels)}
    try:
        with path.open("rb") as file:
            if file.read(8) != b"\x89PNG\r\n\x1a\n":
                raise UnreadableMedia(f"{path} is not a PNG file")
        return av.open(f"file:{path.absolute()}", format="png_pipe", options=options)
    except av.error.FFmpegError:
        raise UnreadableMedia(f"{path} is a damaged PNG file") from None
    except OSError as exc:
        raise UnreadableMedia(f"{path} cannot be read: {exc.strerror}") from None


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
