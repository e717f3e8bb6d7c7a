"""H.264 levels in SDP: how large a picture a viewer decodes (RFC 6184, section 8; ITU-T H.264, table A-1).

Browsers offer level 3.1, which ends at 1280x720, and decode much more. With level-asymmetry-allowed the level of each
direction is its own, so the answer names the level that is sent. Without it the offered level is the limit.
"""

DEFAULT = "42e01f"  # also meant by an offer without profile-level-id, as in browsers
_RATE = 30  # frames per second
_BLOCK_PX = 16
_LIMITS = {
    10: (99, 1_485), 11: (396, 3_000), 12: (396, 6_000), 13: (396, 11_880), 20: (396, 11_880), 21: (792, 19_800),
    22: (1_620, 20_250), 30: (1_620, 40_500), 31: (3_600, 108_000), 32: (5_120, 216_000), 40: (8_192, 245_760),
    41: (8_192, 245_760), 42: (8_704, 522_240), 50: (22_080, 589_824), 51: (36_864, 983_040), 52: (36_864, 2_073_600),
}  # fmt: skip
"""By level times ten: macroblocks per frame, and per second."""


def with_level_for(parameters: str, width: int, height: int) -> str:
    """The format parameters of an answer, with a level that allows pictures of this size at 30 fps.

    Unchanged if the offered level does already, or if it must not be exceeded.
    """
    values = _values(parameters)
    needed = _level_for(width, height)
    offered = values.get("profile-level-id", DEFAULT)
    if max_blocks(parameters) or int(offered[4:], 16) >= needed:
        return parameters
    values["profile-level-id"] = f"{offered[:4]}{needed:02x}"
    return ";".join(f"{key}={value}" for key, value in values.items())


def max_blocks(parameters: str) -> int:
    """The largest picture that may be sent at 30 fps, in macroblocks. 0: no limit.

    parameters: of the format, as offered.
    """
    values = _values(parameters)
    if values.get("level-asymmetry-allowed") == "1":
        return 0
    offered = int(values.get("profile-level-id", DEFAULT)[4:], 16)
    level = max((level for level in _LIMITS if level <= offered), default=10)
    return _blocks_of(level)


def blocks(width: int, height: int) -> int:
    """Macroblocks of a picture."""
    return -(-width // _BLOCK_PX) * -(-height // _BLOCK_PX)


def _level_for(width: int, height: int) -> int:
    """The lowest level for pictures of this size, or the highest that there is; times ten."""
    size = blocks(width, height)
    return next((level for level in _LIMITS if _blocks_of(level) >= size), 52)


def _blocks_of(level: int) -> int:
    per_frame, per_second = _LIMITS[level]
    return min(per_frame, per_second // _RATE)


def _values(parameters: str) -> dict[str, str]:
    return dict(pair.strip().partition("=")[::2] for pair in parameters.split(";") if pair.strip())
