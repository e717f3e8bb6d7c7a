"""Decodes one file of a picture sequence in full quality: PNG, TIFF, JPEG, EXR, DPX, by FFmpeg's decoders.

Files are read as packets, so FFmpeg opens nothing itself. Knows nothing about numbers and times.
"""

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import TiffImagePlugin

from stream.errors import TooLarge, UnreadableMedia
from stream.picture.display_matrix import Display
from stream.picture.frames import Plane, has_alpha
from stream.picture.ingest import check_size
from stream.picture.photo import Photo, Pixels
from stream.settings import Settings
from stream.sources.container import decoder_of

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"\xff\xd8\xff": "mjpeg",
    b"v/1\x01": "exr",
    b"SDPX": "dpx",
    b"XPDS": "dpx",
}  # → FFmpeg's name of the decoder
_EXTRA_SAMPLES = 338  # TIFF's tag; 1: the colours are multiplied by alpha
_CHROMATICITIES = b"\0chromaticities\0chromaticities\0" + struct.pack("<I", 32)  # an attribute in an EXR's header
_HEADER_BYTES = 65_536


@dataclass(frozen=True)
class DecodedFile:
    """photo: the picture, colours not multiplied by alpha. alpha: uint8 (H, W), or None."""

    photo: Photo
    alpha: Plane | None


def decode(path: Path, settings: Settings) -> DecodedFile:
    """Decode a file. Raises UnreadableMedia and TooLarge, which name it."""
    content = _content(path)
    codec = next((name for begin, name in _SIGNATURES.items() if content.startswith(begin)), "")
    if not codec:
        raise UnreadableMedia(f"{path} is not a PNG, TIFF, JPEG, EXR or DPX picture")
    frame = _frame(path, content, codec, settings)
    rgb, alpha = _channels(frame)
    turn = Display.of_frame(frame).orientation
    rgb = np.ascontiguousarray(turn.upright(rgb))
    alpha = None if alpha is None else np.ascontiguousarray(turn.upright(alpha))
    if alpha is not None and (codec == "exr" or (codec == "tiff" and _is_premultiplied(content))):
        rgb = _divided(rgb, alpha)
    return DecodedFile(
        Photo(rgb, chromaticities=_chromaticities(content) if codec == "exr" else ()),
        None if alpha is None else _in_8_bits(alpha),
    )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise UnreadableMedia(f"{path} cannot be read: {exc.strerror}") from None


def _frame(path: Path, content: bytes, codec: str, settings: Settings) -> av.VideoFrame:
    decoder = decoder_of(codec, settings)
    decoder.thread_type = "SLICE"  # frame threads would wait for further files
    try:
        frames = [*decoder.decode(av.Packet(content)), *decoder.decode(None)]
    except (av.error.FFmpegError, ValueError):
        frames = []
    if not frames or frames[0].is_corrupt:
        size = f" or over the limit of {settings.max_pixels:,} pixels (MATTEBOX_MAX_PIXELS)"
        raise UnreadableMedia(f"{path} is damaged, of a kind that FFmpeg does not decode,{size}")
    try:
        check_size(frames[0].width, frames[0].height, settings.max_pixels)
    except TooLarge as exc:
        raise TooLarge(f"{path}: {exc}") from None
    return frames[0]


def _channels(frame: av.VideoFrame) -> tuple[Pixels, Pixels | None]:
    """RGB (H, W, 3) and alpha (H, W), both uint8, uint16, float16 or float32; alpha None if there is none."""
    name = frame.format.name
    if frame.format.components[0].bits > 8 and name.startswith(("gbr", "gray")):
        return _of_planes(frame)
    with_alpha = has_alpha(name) or name == "pal8"
    target = ("rgba" if with_alpha else "rgb") + ("64le" if with_alpha else "48le")
    if frame.format.components[0].bits <= 8:
        target = "rgba" if with_alpha else "rgb24"
    pixels = (frame if name == target else frame.reformat(format=target)).to_ndarray()
    return pixels[..., :3], pixels[..., 3] if with_alpha else None


def _of_planes(frame: av.VideoFrame) -> tuple[Pixels, Pixels | None]:
    """Of a planar picture in green, blue, red and alpha, or grey: swscale would reduce its values."""
    planes = [_plane(plane, frame.format) for plane in frame.planes]
    if len(planes) < 3:
        return np.repeat(planes[0][..., None], 3, axis=2), planes[1] if len(planes) > 1 else None
    return np.stack([planes[2], planes[0], planes[1]], axis=2), planes[3] if len(planes) > 3 else None


def _plane(plane: Any, kind: av.VideoFormat) -> Any:
    """(H, W) as float16 or float32, or as uint16 in its full range."""
    bits, is_float = kind.components[0].bits, "f16" in kind.name or "f32" in kind.name
    order = ">" if kind.name.endswith("be") else "<"
    stored = np.dtype(f"{order}f{bits // 8}" if is_float else f"{order}u2")
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    values = np.ascontiguousarray(rows[:, : plane.width * stored.itemsize]).view(stored)
    if is_float:
        return values.astype(stored.newbyteorder("="))
    if bits == 16:
        return values.astype(np.uint16)
    largest = 2**bits - 1
    return ((values.astype(np.uint32) * 65_535 + largest // 2) // largest).astype(np.uint16)


def _divided(rgb: Pixels, alpha: Pixels) -> Pixels:
    """Colours that were multiplied by alpha, divided by it; unchanged where it is 0."""
    one = 1.0 if alpha.dtype.kind == "f" else float(np.iinfo(alpha.dtype).max)
    share = alpha[..., None].astype(np.float32) / np.float32(one)
    straight = np.divide(rgb.astype(np.float32), share, out=rgb.astype(np.float32), where=share > 0)
    if rgb.dtype.kind == "f":
        largest = np.finfo(rgb.dtype).max
        return np.asarray(np.clip(straight, -largest, largest), rgb.dtype)
    return np.asarray(np.rint(np.clip(straight, 0, np.iinfo(rgb.dtype).max)), rgb.dtype)


def _in_8_bits(alpha: Pixels) -> Plane:
    if alpha.dtype == np.uint8:
        return np.asarray(alpha, np.uint8)
    if alpha.dtype == np.uint16:
        return ((alpha.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.rint(np.clip(np.nan_to_num(alpha.astype(np.float32)), 0, 1) * 255).astype(np.uint8)


def _is_premultiplied(content: bytes) -> bool:
    """Whether a TIFF says that its colours are multiplied by alpha."""
    file = io.BytesIO(content)
    try:
        directory = TiffImagePlugin.ImageFileDirectory_v2(file.read(8))
        file.seek(directory.next)
        directory.load(file)
        return 1 in tuple(directory.get(_EXTRA_SAMPLES, ()))
    except Exception:  # noqa: BLE001 - of odd tags; FFmpeg has decoded the picture
        return False


def _chromaticities(content: bytes) -> tuple[float, ...]:
    """The chromaticities in an EXR's header; empty if it has none."""
    at = content.find(_CHROMATICITIES, 0, _HEADER_BYTES)
    values = content[at + len(_CHROMATICITIES) :][:32] if at >= 0 else b""
    return struct.unpack("<8f", values) if len(values) == 32 else ()
