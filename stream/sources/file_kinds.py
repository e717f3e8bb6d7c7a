"""What a file that cannot be read is, by its first bytes, for error messages. Parses only the boxes of an MP4.

This is not a list of supported formats: it names kinds of files that people mistake for videos.
"""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path

from stream.errors import InputError, NoVideoStream, UnreadableMedia
from stream.sources import mp4_boxes
from stream.sources.demuxers import SUPPORTED
from stream.sources.signatures import kind_of

_HEAD_BYTES = 4096
_SOUND = "has only sound, no video"
_PICTURE = "is a picture, not a video"
_ARCHIVE = "is an archive, not a video; unpack it first"
_SUBTITLES = "has only subtitles, no video"
_CUT_OFF = "is a video that is incomplete or damaged; perhaps a copy or download was cut off"
_UNKNOWN = f"is not in a supported format; convert it to one of these: {SUPPORTED}"

_TEXTS: tuple[tuple[bytes, str], ...] = (
    (rb"(?i)\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?(?:<!DOCTYPE svg[^>]*>\s*)?<svg", _PICTURE),
    (rb"(?i)\s*(?:<!--.*?-->\s*)?(?:<!doctype html|<html)", "is a web page, not a video; perhaps a download failed"),
    (rb"%PDF-", "is a PDF document, not a video"),
    (rb"(?i)#EXTM3U|\[playlist\]|ffconcat |<asx|<smil|\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:MPD|playlist)\b",
     "is a playlist, not a video: it names other files, which are not opened"),
    (rb"v=0\r?\no=", "describes a network stream (SDP) and contains no video"),
    (rb"WEBVTT|\[Script Info\]|1\r?\n\d\d:\d\d:\d\d,\d{3} -->|\{\d+\}\{\d+\}", _SUBTITLES),
    (rb"d\d+:(?:announce|comment|created by|creation date|info)|magnet:\?",
     "is a torrent, not a video; download the video itself first"),
    (rb"version https://git-lfs", "is a Git LFS pointer, not the video itself; fetch the video with: git lfs pull"),
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
    (rb"\0\x05\x16\x07", "has only the properties of another file, stored by macOS; use the file whose name has no ._"),
    (rb"DVDVIDEO-V|MPLS0|INDX0", "is an index of a DVD or Blu-ray, not a video; use its VOB or M2TS files"),
    (rb"\0{4096}", "contains only zeros at its start; perhaps a download was not finished"),
    (rb"....(?:ftyp|moov|mdat|free|wide|skip)|\x1a\x45\xdf\xa3|RIFF....AVI |FLV\x01|OggS|\x30\x26\xb2\x75", _CUT_OFF),
)  # fmt: skip
"""(regular expression of the first bytes, what such a file is), as `_TEXTS`, which are tried first."""


def refuse(path: Path) -> None:
    """Raise UnreadableMedia or NoVideoStream for a file that certainly has no video, such as a song or a document.

    Call it before anything parses the file: FFmpeg takes some of them for raw streams.
    """
    kind = _kind(_start(path))
    if kind not in ("", _PICTURE, _CUT_OFF):
        raise _error(path, kind)


def explained(path: Path) -> InputError:
    """The error for a file that could not be opened as a video; it says what kind of file it is."""
    kind = _kind(_start(path)) or (_CUT_OFF if kind_of(path) == "video" else _UNKNOWN)
    return _error(path, _index_missing(path) if kind is _CUT_OFF else kind)


def _error(path: Path, kind: str) -> InputError:
    return (NoVideoStream if kind in (_SOUND, _SUBTITLES) else UnreadableMedia)(f"{path} {kind}")


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except PermissionError:
        raise UnreadableMedia(f"{path} cannot be read: permission denied") from None
    except OSError as exc:
        raise UnreadableMedia(f"{path} cannot be read: {exc.strerror}") from None


def _index_missing(path: Path) -> str:
    """For a file that is cut off: what is missing if it is the index of an MP4, otherwise `_CUT_OFF`."""
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
        text = start[: _HEAD_BYTES - 4].decode(encoding)  # the last character read may be incomplete
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter in "\t\r\n\f" for letter in text)
