"""The kind of a file by its first bytes: a picture, a video, or neither. Opens no decoder."""

import re
from pathlib import Path
from typing import Literal

from PIL import Image

HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")
AVIF = (b"avif", b"avis")
_SOUND = (b"M4A ", b"M4B ", b"M4P ")
_PICTURES = (b"II*\0", b"MM\0*", b"BM")
_GIF = (b"GIF87a", b"GIF89a")
_PNG = b"\x89PNG\r\n\x1a\n"
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")  # a QuickTime or MP4 file begins with one
_VIDEOS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"\0\0\1\xba",  # MPEG programme stream
    b"FLV",
    b"OggS",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b"\x06\x0e\x2b\x34",  # MXF
    b"nut/multimedia",
    b"YUV4MPEG2",
    b"DKIF",  # IVF
    b".RMF",  # RealMedia
    b"\xb7\xd8\0\x20\x37\x49\xda\x11",  # WTV
    b"\x1f\7\0\x3f",  # DV, 525 lines
    b"\x1f\7\0\xbf",  # DV, 625 lines
    b"\x12\0\x0a",  # AV1 as OBUs
    b"BBCD",  # Dirac
    b"\0\0\2\x80\1",  # DNxHD
    b"\0\0\2\x80\3",  # DNxHR
)
_RAW = re.compile(  # start codes of raw streams
    rb"\x00?\x00\x00\x01(?:[\xb0\xb3\xb5\xb6]"  # MPEG-1, MPEG-2, MPEG-4
    rb"|[\x67\x27\x47\x09\x06]"  # H.264: parameters, delimiter, information
    rb"|[\x40\x42\x46\x4e]\x01|\x00[\x71\x79\x81\xa1]"  # HEVC, VVC
    rb"|\x0f)"  # VC-1
)
_START_OF_JPEG = b"\xff\xd8\xff"
_JPEG_BYTES = 2**23  # read to find the end of the first picture of a motion JPEG
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers of a JPEG
_CHUNKS = 100  # of a PNG, before its pixels
_PACKETS = ((0, 188), (4, 192))  # of MPEG transport streams: where a sync byte is, and the distance to the next
_SYNCS = 5  # in a row, of a transport stream that does not begin with a packet
_HEAD = 192 * (_SYNCS + 1)

_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")

Kind = Literal["picture", "video", ""]


def kind_of(path: Path) -> Kind:
    """What the file is by its first bytes; "" also if it cannot be read. An animated GIF or PNG is a video."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return ""
    if head[4:8] == b"ftyp" and head[8:12] in HEIC + AVIF:
        return "picture"
    if head.startswith(_GIF):
        return "video" if _is_animated(path) else "picture"
    if head.startswith(_PNG):
        return "video" if _is_apng(path) else "picture"
    if head.startswith(_START_OF_JPEG):
        return "video" if is_motion_jpeg(path) else "picture"
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
    return (
        bool(head.startswith(_VIDEOS) or _RAW.match(head))
        or any(head[n : n + 1] == head[n + step : n + step + 1] == b"G" for n, step in _PACKETS)
        or _is_cut_transport_stream(head)
    )


def _is_cut_transport_stream(head: bytes) -> bool:
    """Whether this is a transport stream that was cut inside a packet, as by a split into files of equal size."""
    return any(head[n::step][:_SYNCS] == b"G" * _SYNCS for _, step in _PACKETS for n in range(step))


def is_motion_jpeg(path: Path) -> bool:
    """Whether the file is a sequence of JPEGs of one size, one right after the other.

    A photo that is followed by its preview, or by a second picture that its header names (MPO), is not one.
    """
    with path.open("rb") as file:
        if file.read(3) != _START_OF_JPEG:
            return False
        file.seek(0)
        content = file.read(_JPEG_BYTES)
    end, size = _jpeg(content, 0)
    if not content.startswith(_START_OF_JPEG, end) or b"MPF\0" in content[:end]:
        return False
    return _jpeg(content, end)[1] == size


def _jpeg(content: bytes, begin: int) -> tuple[int, bytes]:
    """(end, size) of the JPEG that begins at `begin`. end: in bytes; that of the content if the JPEG is cut off. size:
    the four bytes that store its height and width; empty if not found."""
    at, size = begin + 2, b""
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xD9:  # the end of the picture
            return at + 2, size
        if marker in _FRAME_HEADERS:
            size = content[at + 5 : at + 9]
        at += 2 + int.from_bytes(content[at + 2 : at + 4])
        if marker == 0xDA:  # a scan follows, in which 0xFF is followed by 0 or the number of a restart
            found = _NEXT_MARKER.search(content, at)
            at = found.start() if found else len(content)
    return len(content), size


def _is_apng(path: Path) -> bool:
    """Whether a PNG has several frames. Their number is in the chunk acTL, before the pixels."""
    with path.open("rb") as file:
        file.seek(len(_PNG))
        for _ in range(_CHUNKS):
            size, kind = int.from_bytes(file.read(4)), file.read(4)
            if kind == b"acTL":
                return int.from_bytes(file.read(4)) > 1
            if kind in (b"IDAT", b""):
                return False
            file.seek(size + 4, 1)
    return False


def _is_animated(path: Path) -> bool:
    try:
        with Image.open(path, formats=["GIF"]) as image:
            return bool(getattr(image, "is_animated", False))
    except Exception:  # noqa: BLE001 - damaged: FFmpeg reports how
        return True
