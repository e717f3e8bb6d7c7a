"""What a file is if it is not a video: by its first bytes, for error messages. Parses nothing.

This is no list of supported formats: it names kinds of files that people mistake for videos.
"""

import re
from pathlib import Path

from stream.errors import InputError, NoVideoStream, UnreadableMedia

_READ = 4096
_SOUND = "has only sound, no video"
_PICTURE = "is a picture, not a video"
_ARCHIVE = "is an archive, not a video; unpack it first"
_CUT_OFF = "is a video that is incomplete or damaged; perhaps a copy or download was cut off"

_TEXTS: tuple[tuple[bytes, str], ...] = (
    (rb"(?i)\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?(?:<!DOCTYPE svg[^>]*>\s*)?<svg", _PICTURE),
    (rb"(?i)\s*(?:<!doctype html|<html)", "is a web page, not a video; perhaps a download failed"),
    (rb"%PDF-", "is a PDF document, not a video"),
    (rb"#EXTM3U|\[playlist\]", "is a playlist, not a video"),
)
_BINARIES: tuple[tuple[bytes, str], ...] = (
    (rb"\xff\xd8\xff|\x89PNG\r\n|RIFF....WEBP|BM....\0\0\0\0|II\*\0|MM\0\*|GIF8[79]a|\0\0\x01\0|8BPS|\xff\x0a|"
     rb"....ftyp(?:heic|heix|mif1|msf1|avif)", _PICTURE),
    (rb"ID3|\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]|fLaC|RIFF....WAVE|FORM....AIF[FC]|#!AMR|MThd|\xff[\xf0\xf1\xf8\xf9]|caff",
     _SOUND),
    (rb"PK(?:\x03\x04|\x05\x06)", "is a zip file or an Office document, not a video"),
    (rb"Rar!|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd|.{257}ustar", _ARCHIVE),
    (rb"\x7fELF|MZ|\xcf\xfa\xed\xfe", "is a program, not a video"),
    (rb"....(?:ftyp|moov|mdat|free|wide|skip)|\x1a\x45\xdf\xa3|RIFF....AVI |FLV\x01|OggS|\x30\x26\xb2\x75", _CUT_OFF),
)  # fmt: skip
"""(regular expression of the first bytes, what such a file is); those above also match text."""


def explained(path: Path) -> InputError | None:
    """The error that says what kind of file this is; None if that is unknown. path: readable, and not a video."""
    with path.open("rb") as file:
        kind = _kind(file.read(_READ))
    if not kind:
        return None
    return (NoVideoStream if kind is _SOUND else UnreadableMedia)(f"{path} {kind}")


def _kind(start: bytes) -> str:
    text = ((b"", "is text, not a video"),) if _is_text(start) else ()
    kinds = (*_TEXTS, *text, *_BINARIES)
    return next((kind for pattern, kind in kinds if re.match(pattern, start, re.DOTALL)), "")


def _is_text(start: bytes) -> bool:
    try:
        text = start[: _READ - 4].decode()  # the last character read may be incomplete
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter in "\t\r\n\f" for letter in text)
