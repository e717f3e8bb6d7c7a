"""EXIF data for a result: that of the source, for an upright picture of its size, without thumbnail."""

from contextlib import suppress

from PIL import Image
from PIL.ExifTags import IFD, Base

from stream.picture.location import has_location

_ORIENTATION, _UPRIGHT = Base.Orientation, 1
_SUB_IFDS = (IFD.Exif, IFD.GPSInfo)  # IFD1, the thumbnail, is left out
_INTEROP, _MAKER_NOTE = 0xA005, Base.MakerNote
_WIDTH, _HEIGHT = Base.ExifImageWidth, Base.ExifImageHeight
# How a TIFF file stores its pixels; in a TIFF, these tags are stored with those that describe the picture.
_STRUCTURE = frozenset(
    {254, 255, *range(256, 260), 262, 263, 264, 265, 266, 273, *range(277, 282), 284, *range(288, 294), 301, 317, 320,
     *range(321, 326), 330, 332, 338, 339, 340, 341, 342, 347, *range(512, 522), *range(529, 533)}
)  # fmt: skip
_EMBEDDED = frozenset({700, 33723, 34377, 34675})  # XMP, IPTC, Photoshop's data, the ICC profile


def upright_exif(image: Image.Image, width: int, height: int, location: bool = True) -> bytes:
    """The EXIF data of an opened picture, with the orientation "upright" and these sides; empty if it has none.

    location: whether locations are kept. Without them the maker note is left out too: some cameras repeat them there.
    """
    kept = Image.Exif()
    with suppress(Exception):  # damaged EXIF data is left out; Pillow raises nearly anything
        found = image.getexif()
        dropped = {*_STRUCTURE, *_EMBEDDED, *_SUB_IFDS, _INTEROP, _ORIENTATION}
        tags = {tag: value for tag, value in found.items() if tag not in dropped}
        subs = {ifd: dict(values) for ifd in _SUB_IFDS if (values := found.get_ifd(ifd))}
        if not location:
            subs.pop(IFD.GPSInfo, None)
            tags = {tag: value for tag, value in tags.items() if not _is_location(tag, value)}
            subs = {ifd: {t: v for t, v in values.items() if not _is_location(t, v)} for ifd, values in subs.items()}
        if not (tags or subs):
            return b""
        for tag, value in tags.items():
            kept[tag] = value
        for ifd, values in subs.items():
            values.pop(_INTEROP, None)
            kept[ifd] = values | ({_WIDTH: width, _HEIGHT: height} if _WIDTH in values else {})
        kept[_ORIENTATION] = _UPRIGHT
        return kept.tobytes()
    return b""


def _is_location(tag: int, value: object) -> bool:
    text = value.replace(b"\0", b"").decode("utf-8", "replace") if isinstance(value, bytes) else value
    return tag == _MAKER_NOTE or (isinstance(text, str) and has_location(text))
