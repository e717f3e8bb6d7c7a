"""The usable codecs of an offer: H.264 (constrained baseline, packetization mode 1), VP8, Opus, and RTX."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from aiortc.sdp import H264Profile, parse_h264_profile_level_id

from stream.rtc.sdp_parts import MediaSection

_FEEDBACK = ("nack", "nack pli", "goog-remb")
_PAYLOADS = range(96, 128)  # aiortc renumbers payload types outside this range


@dataclass
class Codec:
    number: int
    name: str
    fmtp: str = ""
    feedback: list[str] = field(default_factory=list)

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


def video_codecs(section: MediaSection, prefer: Collection[str]) -> list[Codec]:
    """The usable video codecs, each followed by its RTX codec; those in `prefer` first."""
    codecs = _codecs(section)
    usable = [codec for codec in codecs if _normalize(codec)]
    usable.sort(key=lambda codec: codec.name not in prefer)
    found = []
    for codec in usable:
        rtx = (c for c in codecs if c.name == "rtx/90000" and re.match(rf"apt={codec.number}\b", c.fmtp))
        found += [codec, *(Codec(c.number, "rtx", f"apt={codec.number}") for c in rtx)]
    return found


def _normalize(codec: Codec) -> bool:
    name = codec.name.upper()
    if name == "VP8/90000":
        codec.name, codec.fmtp = "VP8", ""
        return True
    values = dict(pair.strip().partition("=")[::2] for pair in codec.fmtp.split(";"))
    level = values.get("profile-level-id", "")
    if name != "H264/90000" or values.get("packetization-mode") != "1" or not _is_baseline(level):
        return False
    codec.name = "H264"
    codec.fmtp = f"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={level}"
    return True


def _is_baseline(level: str) -> bool:
    try:
        profile, _ = parse_h264_profile_level_id(level)
    except ValueError:
        return False
    return len(level) == 6 and profile in (H264Profile.PROFILE_CONSTRAINED_BASELINE, H264Profile.PROFILE_BASELINE)


def sound_codecs(section: MediaSection) -> list[Codec]:
    return [Codec(c.number, "opus") for c in _codecs(section) if c.name.lower() == "opus/48000/2"][:1]
