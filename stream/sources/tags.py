"""Selects and cleans the tags of an untrusted file: names in one vocabulary, texts without control characters.

Tags that describe the file's encoding and not the recording, such as encoder, rotate and BPS, are left out: they would
be wrong in a result.
"""

import re
from collections.abc import Iterable, Mapping

from stream import limits
from stream.picture.extras import Tags
from stream.picture.location import has_location, names_location

LOCATION = "location"
_QUICKTIME_LOCATION = "com.apple.quicktime.location.ISO6709"
_SPELLINGS = {name.lower(): name for name in (_QUICKTIME_LOCATION,)}
# Technical tags of MP4, Matroska, FLV, MXF, ASF and AVI; `software` stays, because it names the phone's system.
_TECHNICAL = re.compile(
    r"major_brand|minor_version|compatible_brands|rotate|duration|timecode|vendor_id|handler_name|language|filename|"
    r"mimetype|alpha_mode|stereo_mode|bps|number_of_(?:frames|bytes)|_statistics_.*|source_id|"
    r"encod(?:er|ing)(?:[ _].*)?|"
    r"itun.*|gapless_playback|hd_video|media_type|creation_time-.*|variant_bitrate|service_(?:name|provider)|"
    r"(?:has|can)(?:video|audio|metadata|keyframes|cuepoints|seektoend)|last(?:key)?(?:frame)?timestamp|"
    r"(?:video|audio)(?:datarate|codecid|size|samplerate|samplesize|channels|delay)|datasize|filesize|"
    r"metadatacreator|.*_umid|(?:generation_|instance_)?uid|company_name|product_(?:name|version|uid)|"
    r"modification_date|toolkit_version|(?:product|toolkit)_version_num|"
    r"application_platform|operational_pattern_ul|project_name|"
    r"wmfsdk.*|isvbr|is_protected|deviceconformancetemplate|wm/(?:encodingtime|mediaprimaryclassid|isvbr)",
    re.IGNORECASE,
)
_FFMPEG = re.compile(r"Lav[cf]\d")  # named as the software or tool by a file that FFmpeg has written
_LANGUAGE = re.compile(r"-[a-z]{3}$")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")


def cleaned(text: str, most: int) -> str:
    """The text without control characters other than line feeds and tabs, cut to `most` characters."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))[:most].strip()


def one_line(text: str, most: int) -> str:
    """As `cleaned`, in one line."""
    return re.sub(r"\s+", " ", cleaned(text, most))


def file_tags(found: Mapping[str, str], location: bool) -> tuple[Tags, int]:
    """The tags of a file that describe the recording, and the number of those that exceed the limits.

    location: whether locations are kept.
    """
    kept: dict[str, str] = {}
    excess = 0
    for name, text in _named(found):
        base = _LANGUAGE.sub("", name)
        if _TECHNICAL.fullmatch(base) or _FFMPEG.match(text) or (base != name and found.get(base) == text):
            continue
        if not location and (names_location(name) or has_location(text)):
            continue
        value = cleaned(text, limits.TAG_TEXT)
        if len(text) > limits.TAG_TEXT or len(kept) >= limits.TAGS:
            excess += 1
        elif value:
            kept[name] = value
    if LOCATION not in kept and _QUICKTIME_LOCATION in kept:
        kept[LOCATION] = kept[_QUICKTIME_LOCATION]
    return kept, excess


def track_tags(found: Mapping[str, str], names: Iterable[str], location: bool) -> Tags:
    """The tags of a track. names: those to keep, of language, title and handler_name. location: as in `file_tags`."""
    tags = dict(_named(found))
    tags.setdefault("title", tags.get("name", ""))  # MP4's name of a track
    if tags.get("handler_name", "").endswith("Handler"):  # FFmpeg's default
        del tags["handler_name"]
    picked = {name: one_line(tags.get(name, ""), limits.TAG_NAME) for name in names}
    return {name: text for name, text in picked.items() if text and (location or not has_location(text))}


def _named(found: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """(name, text) pairs. Names that the file has in upper case, as Matroska does, become lower case."""
    for name, text in found.items():
        plain = one_line(name, limits.TAG_NAME + 1)
        if 0 < len(plain) <= limits.TAG_NAME and "=" not in plain:
            lower = plain.lower()
            yield _SPELLINGS.get(lower, lower if plain == plain.upper() else plain), text
