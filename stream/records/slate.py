"""The text of a slate, which the outputs of a live video show while its source is away: which texts can be drawn.

`workers/scene/caption.py` draws them with the fonts in the wheel of OpenCV, which web does not install. Their
characters are therefore listed here, and `tests/workers/scene/test_caption.py` draws every one.
"""

import unicodedata

_SHOWN = 5  # characters that an error names

_RANGES = (
    # Latin, with the letters of Europe, Turkish and Vietnamese
    (0x0020, 0x007E), (0x00A0, 0x00AC), (0x00AE, 0x017F), (0x01A0, 0x01A1), (0x01AF, 0x01B0), (0x0218, 0x021B),
    (0x1E80, 0x1E85), (0x1E9E, 0x1E9E), (0x1EA0, 0x1EF9),
    # Greek and Cyrillic
    (0x0384, 0x0386), (0x0388, 0x038A), (0x038C, 0x038C), (0x038E, 0x03A1), (0x03A3, 0x03CE), (0x0400, 0x0482),
    (0x048A, 0x0513),
    # punctuation, currencies, arrows and signs
    (0x2002, 0x200A), (0x2010, 0x2010), (0x2013, 0x201E), (0x2020, 0x2022), (0x2025, 0x2027), (0x2030, 0x2030),
    (0x2032, 0x2033), (0x2039, 0x203C), (0x20A0, 0x20A8), (0x20AA, 0x20B5), (0x20B8, 0x20B9), (0x20BD, 0x20BD),
    (0x2116, 0x2116), (0x2121, 0x2122), (0x2190, 0x21FF), (0x2212, 0x2212), (0x2248, 0x2248), (0x2260, 0x2260),
    (0x2264, 0x2265), (0x2460, 0x24B5), (0x25A0, 0x25A1), (0x25B2, 0x25B3), (0x25B6, 0x25B7), (0x25BC, 0x25BD),
    (0x25C0, 0x25C1), (0x25C6, 0x25C8), (0x25CA, 0x25CB), (0x25CE, 0x25D1), (0x2605, 0x2606), (0x260E, 0x260F),
    (0x2640, 0x2640), (0x2642, 0x2642), (0x2654, 0x266A), (0x266C, 0x266D), (0x2713, 0x2716), (0x2718, 0x2718),
    # Chinese, Japanese and Korean
    (0x3000, 0x3003), (0x3005, 0x3017), (0x301D, 0x301F), (0x3041, 0x3094), (0x309B, 0x309E), (0x30A1, 0x30F6),
    (0x30FB, 0x30FE), (0x3105, 0x3129), (0x3131, 0x3163), (0x4E00, 0x9FC3), (0xAC00, 0xD7A3), (0xFF01, 0xFF5E),
    (0xFF61, 0xFF9F), (0xFFE0, 0xFFE6),
)  # fmt: skip
"""First and last code points. Scripts that are written from right to left, or whose letters join, are not drawn."""


def read_slate(text: str) -> str:
    """The text as it is drawn: composed (NFC), without spaces around it. Raises ValueError, which names the characters
    that cannot be drawn."""
    text = unicodedata.normalize("NFC", text).strip(" ")
    unknown = [character for character in dict.fromkeys(text) if not _is_drawn(character)]
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in unknown):
        raise ValueError("must be one line, without control characters")
    if unknown:
        names = ", ".join(_name(character) for character in unknown[:_SHOWN])
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise ValueError(
            f"{names}{more} cannot be drawn; Latin, Greek, Cyrillic, Chinese, Japanese and Korean letters can, emoji "
            "cannot"
        )
    return text


def drawn_characters() -> str:
    """Every character that a slate may have."""
    return "".join(chr(code) for first, last in _RANGES for code in range(first, last + 1))


def _is_drawn(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _RANGES)


def _name(character: str) -> str:
    alone = character.isprintable() and not unicodedata.category(character).startswith("M")
    return f"“{character}”" if alone else f"U+{ord(character):04X}"
