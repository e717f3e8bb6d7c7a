"""SMPTE timecodes such as 01:00:00:00, counted in frames; with `;` before the frames, drop-frame timecodes."""

import re
from fractions import Fraction

_TIMECODE = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)([:;.])(\d\d)")
_DAY_S = 86_400


def shifted(timecode: str, seconds: Fraction, rate: Fraction) -> str:
    """The timecode of the frame that is `seconds` after the one with this timecode.

    rate: frames per second, at most 99. The result is empty if the text is not a timecode at this rate.
    """
    match, nominal = _TIMECODE.fullmatch(timecode.strip()), round(rate)
    if match is None or not 1 <= nominal <= 99 or int(match[5]) >= nominal:
        return ""
    hours, minutes, whole_s, frames = (int(match[n]) for n in (1, 2, 3, 5))
    dropped = match[4] != ":" and nominal % 30 == 0
    number = ((hours * 60 + minutes) * 60 + whole_s) * nominal + frames
    if dropped:
        total_minutes = hours * 60 + minutes
        number -= _per_minute(nominal) * (total_minutes - total_minutes // 10)
    number += round(seconds * rate)
    return _text(_undropped(number, nominal) if dropped else number, nominal, ";" if dropped else ":")


def _per_minute(nominal: int) -> int:
    """How many numbers drop-frame timecodes skip at the start of each minute that is not a multiple of ten."""
    return nominal // 15


def _undropped(number: int, nominal: int) -> int:
    """The number of a frame in drop-frame timecode: with skipped numbers counted."""
    skip = _per_minute(nominal)
    minute = nominal * 60 - skip
    tens, rest = divmod(number, minute * 10 + skip)
    return number + skip * 9 * tens + skip * max(0, (rest - skip) // minute)


def _text(number: int, nominal: int, separator: str) -> str:
    whole_s, frames = divmod(number, nominal)
    whole_s %= _DAY_S
    return f"{whole_s // 3600:02}:{whole_s // 60 % 60:02}:{whole_s % 60:02}{separator}{frames:02}"
