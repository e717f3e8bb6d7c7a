"""The usable codecs of an offer: H.264, VP8, Opus, and RTX.

aiortc negotiates H.264 in the Baseline profiles and packetization mode 1 only, but receives the others the same way. So
the offer that aiortc gets names those, and the answer to the client names the parameters that the client offered.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from aiortc.sdp import H264Profile, parse_h264_profile_level_id

from stream.rtc.h264_levels import DEFAULT as _BASELINE
from stream.rtc.sdp_parts import MediaSection

_FEEDBACK = ("nack", "nack pli", "goog-remb")
_PAYLOADS = range(96, 128)  # aiortc renumbers payload types outside this range
_PROFILES = (0x42, 0x4D, 0x64, 0x6E, 0x7A, 0xF4, 0x2C)  # profile_idc: Baseline, Main, and the High ones; not Extended
_SYMMETRIC = (
    "level-asymmetry-allowed",
    "packetization-mode",
    "profile-level-id",
)  # RFC 6184, 8.2.2: answered as offered


@dataclass
class Codec:
    """number: payload type. fmtp: the parameters in the offer that aiortc gets. answer: of H.264, those in the answer
    to the client. is_baseline: whether the profile of H.264 is one of the Baseline profiles."""

    number: int
    name: str
    fmtp: str = ""
    feedback: list[str] = field(default_factory=list)
    answer: str = ""
    is_baseline: bool = False

    def lines(self, clock: str) -> list[str]:
        lines = [f"a=rtpmap:{self.number} {self.name}/{clock}"]
        lines += [f"a=rtcp-fb:{self.number} {value}" for value in self.feedback]
        return lines + ([f"a=fmtp:{self.number} {self.fmtp}"] if self.fmtp else [])


def _codecs(section: MediaSection) -> list[Codec]:
    """The codecs with a payload type in `_PAYLOADS`, in the client's order."""
    offered = section.header.split()[3:]
    by_number = {value.split()[0]: value.split()[1] for value in section.attributes.get("rtpmap", [])}
    parameters = dict(value.split(" ", 1) for value in section.attributes.get("fmtp", []))
    found = []
    for number in dict.fromkeys(offered):
        if number in by_number and number.isdigit() and int(number) in _PAYLOADS:
            feedback = _feedback(section, number)
            found.append(Codec(int(number), by_number[number], parameters.get(number, ""), feedback))
    return found


def _feedback(section: MediaSection, number: str) -> list[str]:
    values = [value.partition(" ") for value in section.attributes.get("rtcp-fb", [])]
    return [kind for target, _, kind in values if target in (number, "*") and kind in _FEEDBACK]


def video_codecs(section: MediaSection, prefer: Collection[str], receives_only: bool) -> list[Codec]:
    """The usable video codecs, each followed by its RTX codec; those in `prefer` first.

    receives_only: this server sends no video on the connection, so any H.264 that can be decoded is usable. Otherwise
    Constrained Baseline is preferred, which the encoder makes; clients that offer only other profiles decode that too.
    """
    codecs = _codecs(section)
    usable = [codec for codec in codecs if _normalize(codec, receives_only)]
    if not receives_only and any(codec.name == "H264" and codec.is_baseline for codec in usable):
        usable = [codec for codec in usable if codec.name != "H264" or codec.is_baseline]
    usable.sort(key=lambda codec: codec.name not in prefer)
    found = []
    for codec in usable:
        rtx = (c for c in codecs if c.name == "rtx/90000" and re.match(rf"apt={codec.number}\b", c.fmtp))
        found += [codec, *(Codec(c.number, "rtx", f"apt={codec.number}") for c in rtx)]
    return found


def offered_names(section: MediaSection) -> list[str]:
    """The names of a section's codecs, without those for retransmission and error correction."""
    names = dict.fromkeys(value.split()[1].split("/")[0] for value in section.attributes.get("rtpmap", []))
    return [name for name in names if name.lower() not in ("rtx", "red", "ulpfec", "flexfec-03")]


def _normalize(codec: Codec, receives_only: bool) -> bool:
    """Change the codec to one that aiortc supports. Returns False if it cannot be used."""
    name = codec.name.upper()
    if name == "VP8/90000":
        codec.name, codec.fmtp = "VP8", ""
        return True
    values = dict(pair.strip().partition("=")[::2] for pair in codec.fmtp.split(";"))
    modes = ("0", "1") if receives_only else ("1",)  # aiortc sends fragments, which mode 0 excludes
    if name != "H264/90000" or values.get("packetization-mode", "0") not in modes:
        return False
    level = values.get("profile-level-id", _BASELINE)
    if not _is_decodable(level):
        return False
    codec.name, codec.is_baseline = "H264", _is_baseline(level)
    codec.answer = ";".join(f"{key}={values[key]}" for key in _SYMMETRIC if key in values)
    level = level if codec.is_baseline else _BASELINE
    codec.fmtp = f"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={level}"
    return True


def _is_decodable(level: str) -> bool:
    return re.fullmatch(r"[0-9A-Fa-f]{6}", level) is not None and (
        int(level[:2], 16) in _PROFILES or _is_baseline(level)
    )


def _is_baseline(level: str) -> bool:
    try:
        profile, _ = parse_h264_profile_level_id(level)
    except ValueError:
        return False
    return len(level) == 6 and profile in (H264Profile.PROFILE_CONSTRAINED_BASELINE, H264Profile.PROFILE_BASELINE)


def sound_codecs(section: MediaSection) -> list[Codec]:
    return [Codec(c.number, "opus") for c in _codecs(section) if c.name.lower() == "opus/48000/2"][:1]
