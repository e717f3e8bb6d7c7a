"""What a file is if it is not a video: by its first bytes, for error messages. Parses nothing but the boxes of an MP4.

This is no list of supported formats: it names kinds of files that people mistake for videos.
"""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path

from stream.errors import InputError, NoVideoStream, UnreadableMedia
from stream.sources import mp4_boxes
from stream.sources.demuxers import READ
from stream.sources.signatures import kind_of

_READ = 4096
_SOUND = "has only sound, no video"
_PICTURE = "is a picture, not a video"
_ARCHIVE = "is an archive, not a video; unpack it first"
_SUBTITLES = "has only subtitles, no video"
_CUT_OFF = "is a video that is incomplete or damaged; perhaps a copy or download was cut off"
_UNKNOWN = f"is not in a format that is read. These are: {READ}"

_TEXTS: tuple[tuple[bytes, str], ...] = (
    (rb"(?i)\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?(?:<!DOCTYPE svg[^>]*>\s*)?<svg", _PICTURE),
    (rb"(?i)\s*(?:<!--.*?-->\s*)?(?:<!doctype html|<html)", "is a web page, not a video; perhaps a download failed"),
    (rb"%PDF-", "is a PDF document, not a video"),
    (rb"(?i)#EXTM3U|\[playlist\]|ffconcat |<asx|<smil|\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:MPD|playlist)\b",
     "is a playlist, not a video: it names other files, which are not opened"),
    (rb"v=0\r?\no=", "describes a stream in the network (SDP), and has no video of its own"),
    (rb"WEBVTT|\[Script Info\]|1\r?\n\d\d:\d\d:\d\d,\d{3} -->|\{\d+\}\{\d+\}", _SUBTITLES),
    (rb"d\d+:(?:announce|comment|created by|creation date|info)|magnet:\?",
     "is a torrent, not a video: it only names one; download that first"),
    (rb"version https://git-lfs", "is a pointer of Git LFS, not the video itself; fetch that with: git lfs pull"),
    (rb"\{\\rtf", "is a text document, not a video"),
)  # fmt: skip
_BINARIES: tuple[tuple[bytes, str], ...] = (
    (rb"\xff\xd8\xff|\x89PNG\r\n|RIFF....WEBP|BM....\0\0\0\0|II\*\0|MM\0\*|GIF8[79]a|\0\0\x01\0|8BPS|\xff\x0a|"
     rb"....ftyp(?:heic|heix|mif1|msf1|avif)", _PICTURE),
    (rb"ID3|\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]|fLaC|RIFF....WAVE|RF64....WAVE|riff\x2e\x91\xcf\x11|FORM....AIF[FC]|#!AMR|"
     rb"MThd|\xff[\xf0\xf1\xf8\xf9]|caff|\.snd|wvpk|MAC |MPCK|MP\+|TTA1|tBaK|DSD |\x0b\x77|\x7f\xfe\x80\x01", _SOUND),
    (rb"PK(?:\x03\x04|\x05\x06)", "is a zip file or an Office document, not a video"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an Office document, not a video"),
    (rb"Rar!|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd|.{257}ustar", _ARCHIVE),
    (rb"....(?:styp|moof|sidx|emsg)",
     "is one segment of a stream (DASH or HLS); append it to the stream's initialization segment"),
    (rb"\x7fELF|MZ|\xcf\xfa\xed\xfe|[FCZ]WS[\x01-\x40]", "is a program, not a video"),
    (rb"\0\x05\x16\x07", "has only the properties of another file, as macOS stores them; take the file without ._"),
    (rb"DVDVIDEO-V|MPLS0|INDX0", "is an index of a DVD or Blu-ray, not a video; take its VOB or M2TS files"),
    (rb"\0{4096}", "begins with zeros only: perhaps a download was not finished"),
    (rb"....(?:ftyp|moov|mdat|free|wide|skip)|\x1a\x45\xdf\xa3|RIFF....AVI |FLV\x01|OggS|\x30\x26\xb2\x75", _CUT_OFF),
)  # fmt: skip
"""(regular expression of the first bytes, what such a file is); those above also match text."""


def refuse(path: Path) -> None:
    """Raise the error for a file that certainly has no video, such as a song or a document, before anything parses it:
    FFmpeg takes some for raw streams. Raises UnreadableMedia, NoVideoStream."""
    kind = _kind(_start(path))
    if kind not in ("", _PICTURE, _CUT_OFF):
        raise _error(path, kind)


def explained(path: Path) -> InputError:
    """The error that says what kind of file this is. path: not a video that can be read."""
    kind = _kind(_start(path)) or (_CUT_OFF if kind_of(path) == "video" else _UNKNOWN)
    return _error(path, _index_missing(path) if kind is _CUT_OFF else kind)


def _error(path: Path, kind: str) -> InputError:
    return (NoVideoStream if kind in (_SOUND, _SUBTITLES) else UnreadableMedia)(f"{path} {kind}")


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_READ)
    except PermissionError:
        raise UnreadableMedia(f"{path} cannot be read: permission denied") from None
    except OSError as exc:
        raise UnreadableMedia(f"{path} cannot be read: {exc.strerror}") from None


def _index_missing(path: Path) -> str:
    """The same as `_CUT_OFF`, with the part that is missing of an MP4."""
    boxes = mp4_boxes.top_level(path)
    if not any(kind in (b"ftyp", b"mdat") for kind, _, _ in boxes):
        return _CUT_OFF
    index = next((until for kind, _, until in boxes if kind in mp4_boxes.INDEXES), None)
    if index is None:
        found = "is missing"
    elif index > path.stat().st_size:
        found = "is cut off"
    else:
        return _CUT_OFF
    return f"is a video that is incomplete: its index (moov) {found}; perhaps its recording or download was interrupted"


def _kind(start: bytes) -> str:
    start = start.removeprefix(BOM_UTF8)
    text = ((b"", "is text, not a video"),) if _is_text(start) else ()
    kinds = (*_TEXTS, *text, *_BINARIES)
    return next((kind for pattern, kind in kinds if re.match(pattern, start, re.DOTALL)), "")


def _is_text(start: bytes) -> bool:
    encoding = "utf-16" if start.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8"
    try:
        text = start[: _READ - 4].decode(encoding)  # the last character read may be incomplete
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter in "\t\r\n\f" for letter in text)
