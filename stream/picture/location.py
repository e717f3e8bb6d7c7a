"""Recognition of geographic locations in text, such as tags and subtitles, in order to remove them."""

import re

_ISO_6709 = r"[+-]\d{2,6}(?:\.\d+)?[+-]\d{3,7}(?:\.\d+)?(?:[+-]\d+(?:\.\d+)?)?(?:CRS\w*)?/?"
_NAMED = r"\b(?:gps|geo|lat|lon|lng|latt?itude|long?t?itude|location|coordinates?)\b[^\n]{0,40}?\d\.\d"
_PAIR = r"-?\d{1,2}\.\d{4,}°?\s*[NS]?\s*[,;/ ]\s*-?\d{1,3}\.\d{4,}"
_DEGREES = r"\d{1,3}\s*°\s*\d{1,2}\s*['′]"
_POSITION = re.compile(f"(?<![\\d.]){_ISO_6709}|{_NAMED}|{_PAIR}|{_DEGREES}", re.IGNORECASE)
_NAMES = re.compile(r"location|gps|geo|latitude|longitude|altitude|xyz|loci|coordinates|place|\bcity\b|country", re.I)


def names_location(key: str) -> bool:
    """Whether a tag with this name contains a location."""
    return _NAMES.search(key) is not None


def has_location(text: str) -> bool:
    """Whether the text contains a location: in ISO 6709, as degrees, or as a number after a word such as GPS."""
    return _POSITION.search(text) is not None
