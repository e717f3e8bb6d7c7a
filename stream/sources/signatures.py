"""The kind of a file by its first bytes: a picture, a video, or neither. Opens no decoder."""

from pathlib import Path
from typing import Literal

from PIL import Image

HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")
AVIF = (b"avif", b"avis")
_SOUND = (b"M4A ", b"M4B ", b"M4P ")
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"BM")
_GIF = (b"GIF87a", b"GIF89a")
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")  # a QuickTime or MP4 file begins with one
_VIDEOS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"\0\0\1\xba",  # MPEG programme stream
    b"\0\0\1\xb3",  # MPEG video
    b"FLV",
    b"OggS",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b"\x06\x0e\x2b\x34",  # MXF
    b"nut/multimedia",
    b"YUV4MPEG2",
    b"DKIF",  # IVF
)
_PACKETS = ((0, 188), (4, 192))  # of MPEG transport streams: where a sync byte is, and the distance to the next
_HEAD = 4 + 192 + 1

Kind = Literal["picture", "video", ""]


def kind_of(path: Path) -> Kind:
    """What the file is by its first bytes; "" also if it cannot be read. An animated GIF is a video."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return ""
    if head[4:8] == b"ftyp" and head[8:12] in HEIC + AVIF:
        return "picture"
    if head.startswith(_GIF):
        return "video" if _is_animated(path) else "picture"
    if head.startswith(_PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return "picture"
    return "video" if _is_video(head) else ""


def is_picture(path: Path) -> bool:
    """Whether the file is a picture, by its first bytes."""
    return kind_of(path) == "picture"


def _is_video(head: bytes) -> bool:
    if head[4:8] in _BOXES:
        return head[8:12] not in _SOUND
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    return head.startswith(_VIDEOS) or any(
        head[n : n + 1] == head[n + step : n + step + 1] == b"G" for n, step in _PACKETS
    )


def _is_animated(path: Path) -> bool:
    try:
        with Image.open(path, formats=["GIF"]) as image:
            return bool(getattr(image, "is_animated", False))
    except Exception:  # noqa: BLE001 - damaged: FFmpeg reports how
        return True
