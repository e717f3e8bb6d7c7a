"""Which codecs of an offer can be used: H.264 as all browsers have it, VP8, Opus, and their retransmission."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from aiortc.sdp import H264Profile, parse_h264_profile_level_id

from stream.rtc.sdp_parts import MediaSection

_FEEDBACK = ("nack", "nack pli", "goog-remb")
_PAYLOADS = range(96, 128)  # aiortc answers others with numbers of its own


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


def _codecs(part: MediaSection) -> list[Codec]:
    """Those that can be numbered as offered, in the client's order."""
    offered = part.header.split()[3:]
    by_number = {value.split()[0]: value.split()[1] for value in part.attributes.get("rtpmap", [])}
    parameters = dict(value.split(" ", 1) for value in part.attributes.get("fmtp", []))
    found = []
    for number in dict.fromkeys(offered):
        if number in by_number and number.isdigit() and int(number) in _PAYLOADS:
            feedback = _feedback(part, number)
            found.append(Codec(int(number), by_number[number], parameters.get(number, ""), feedback))
    return found


def _feedback(part: MediaSection, number: str) -> list[str]:
    given = [value.partition(" ") for value in part.attributes.get("rtcp-fb", [])]
    return [kind for to, _, kind in given if to in (number, "*") and kind in _FEEDBACK]


def video_codecs(part: MediaSection, prefer: Collection[str]) -> list[Codec]:
    """Usable ones, each followed by its retransmission; those in `prefer` first."""
    codecs = _codecs(part)
    usable = [codec for codec in codecs if _make_usable(codec)]
    usable.sort(key=lambda codec: codec.name not in prefer)
    found = []
    for codec in usable:
        again = (c for c in codecs if c.name == "rtx/90000" and re.match(rf"apt={codec.number}\b", c.fmtp))
        found += [codec, *(Codec(c.number, "rtx", f"apt={codec.number}") for c in again)]
    return found


def _make_usable(codec: Codec) -> bool:
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


def sound_codecs(part: MediaSection) -> list[Codec]:
    return [Codec(c.number, "opus") for c in _codecs(part) if c.name.lower() == "opus/48000/2"][:1]
