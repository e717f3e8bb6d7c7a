"""Validation of SDP offers before aiortc sees them, and completion of its answers before browsers do.

aiortc accepts an empty offer, fails on invalid ones in many ways, and cannot decline single media sections. It is given
a rewritten offer: one video, at most one audio section, usable codecs, allowed candidates. All other sections of the
offer are declined in the answer. RFC 8866 (SDP), 8839 (ICE), 8829 (answers).
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from aiortc import RTCIceCandidate
from aiortc.sdp import candidate_from_sdp

from stream.errors import SdpError, UnsupportedCodec
from stream.rtc import h264_levels
from stream.rtc.encoder import fitting_bps
from stream.rtc.ice import CandidatePolicy
from stream.rtc.sdp_codecs import Codec, offered_names, sound_codecs, video_codecs
from stream.rtc.sdp_parts import CANDIDATE, MediaSection, check_syntax, excerpt, lines_of, parse, split_sections

MAX_CANDIDATES = 32

_DIGESTS = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_EXTENSIONS = (
    "urn:ietf:params:rtp-hdrext:sdes:mid",
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
)


@dataclass(frozen=True)
class MediaDirections:
    """Directions of the video. video_in: the client sends its camera. video_out: the client receives video."""

    video_in: bool
    video_out: bool


@dataclass(frozen=True)
class ParsedOffer:
    """A validated offer. sdp: rewritten for aiortc. sections: all, in order. kept: mids of those not declined. h264:
    format parameters of H.264 in the answer, by payload type."""

    sdp: str
    sections: tuple[MediaSection, ...]
    kept: tuple[str, ...]
    bundled: bool
    video_in: bool
    video_out: bool
    sound_in: bool
    sound_out: bool
    ufrag: str
    h264: dict[int, str]


def read_offer(
    text: str, directions: MediaDirections, policy: CandidatePolicy, prefer: Collection[str] = ()
) -> ParsedOffer:
    """Validate an offer. prefer: codecs to put first, where the client has them. Raises SdpError, UnsupportedCodec."""
    session, sections = parse(text)
    video = _first_active(sections, "video")
    if video is None:
        raise SdpError("the offer has no video")
    if directions.video_in and not video.sends:
        raise SdpError(f"the offer's video is {video.direction}: the client sends no camera")
    if directions.video_out and not directions.video_in and not video.receives:
        raise SdpError(f"the offer's video is {video.direction}: the client receives none")
    codecs = {"video": video_codecs(video, prefer, receives_only=not directions.video_out)}
    if not codecs["video"]:
        offered = ", ".join(offered_names(video))[:80] or "none"
        modes = "1" if directions.video_out else "0 or 1"
        raise UnsupportedCodec(
            f"no offered video codec is supported ({offered}); offer H.264 with packetization mode {modes}, or VP8"
        )
    sound = _first_active(sections, "audio")
    if sound is not None:
        codecs["audio"] = sound_codecs(sound)
    kept = [section for section in sections if section is video or (section is sound and codecs["audio"])]
    group = _bundle(session, sections)
    for section in kept:
        _check_transport(section)
    sound = sound if sound in kept else None
    return ParsedOffer(
        sdp=_rewritten(session, kept, codecs, group, policy),
        sections=tuple(sections),
        kept=tuple(section.mid for section in kept),
        bundled=bool(group),
        video_in=directions.video_in,
        video_out=directions.video_out and video.receives,
        sound_in=directions.video_in and sound is not None and sound.sends,
        sound_out=directions.video_out and sound is not None and sound.receives,
        ufrag=video.first("ice-ufrag"),
        h264={codec.number: codec.answer for codec in codecs["video"] if codec.name == "H264"},
    )


def finish_answer(offer: ParsedOffer, answer: str, max_bps: int, width: int = 1280, height: int = 720) -> str:
    """aiortc's answer, with the sections it did not see declined, and a start bit rate and Opus settings for browsers.

    width, height: the expected frame size. Without the hint Chromium starts at 300 kbit/s, a quarter of the size.
    """
    session, sections = split_sections(answer)
    answered = {_mid(lines): lines for lines in sections}
    bps = fitting_bps(width, height, 30.0, max_bps)
    lines = session if offer.bundled else [line for line in session if not line.startswith("a=group:BUNDLE")]
    for section in offer.sections:
        lines = lines + (
            _with_settings(answered[section.mid], bps, offer.h264) if section.mid in answered else _declined(section)
        )
    return "\r\n".join(lines) + "\r\n"


def first_codec(text: str, kind: str) -> str:
    """The name of the first codec of a description, which its sender will use; "" where there is none."""
    number = first_payload(text, kind)
    return next((ln.split()[1].split("/")[0] for ln in text.splitlines() if ln.startswith(f"a=rtpmap:{number} ")), "")


def first_payload(text: str, kind: str) -> int:
    """The payload type of the first codec of a description; 0 where there is none."""
    headers = [lines[0].split() for lines in split_sections(text)[1] if lines[0].startswith(f"m={kind} ")]
    return int(headers[0][3]) if headers else 0


def with_level_for(offer: ParsedOffer, width: int, height: int) -> ParsedOffer:
    """The offer, answered with a level of H.264 that allows pictures of this size, where the client accepts that."""
    raised = {number: h264_levels.with_level_for(answer, width, height) for number, answer in offer.h264.items()}
    return replace(offer, h264=raised)


def read_fragment(text: str, offer: ParsedOffer, policy: CandidatePolicy) -> Iterator[RTCIceCandidate]:
    """The allowed candidates of a trickle ICE fragment (RFC 8840). Raises SdpError."""
    mid = offer.kept[0]
    for line in lines_of(text):
        name, _, value = line[2:].partition(":")
        if line.startswith("a="):
            check_syntax(name, value)
        if name == "ice-ufrag" and value != offer.ufrag:
            raise SdpError("these candidates are for another offer; ICE restarts are not supported, send a new offer")
        if name == "mid" and not offer.bundled:
            mid = value
        if name == "candidate" and _usable(value, policy):
            yield _candidate(value, mid)


def _candidate(value: str, mid: str) -> RTCIceCandidate:
    """Raises SdpError if any part of it is malformed, such as a port that is not a number."""
    try:
        candidate = candidate_from_sdp(value.removeprefix("candidate:"))
    except ValueError:
        raise SdpError(f"invalid SDP line: {excerpt(f'a=candidate:{value}')}") from None
    candidate.sdpMid = mid
    return candidate


def _first_active(sections: list[MediaSection], kind: str) -> MediaSection | None:
    """The first section of its kind that the client has not rejected itself."""
    return next(
        (p for p in sections if p.kind == kind and (p.header.split()[1] != "0" or "bundle-only" in p.attributes)), None
    )


def _bundle(session: dict[str, list[str]], sections: list[MediaSection]) -> list[str]:
    """The mids that share one transport; they get the transport attributes of the first.

    A mid without an m-line is ignored: FFmpeg 8.0 names audio and video even if it sends only one of them. But if the
    last of several m-lines is missing, the offer was cut off.
    """
    named = next((g.split()[1:] for g in session.get("group", []) if g.startswith("BUNDLE")), [])
    mids = {section.mid for section in sections}
    group = [mid for mid in named if mid in mids]
    if named and named[-1] not in mids and len(sections) > 1:
        raise SdpError(f"the offer is cut off: it has no m-line for mid {excerpt(named[-1])}")
    lead = next((section for section in sections if group and section.mid == group[0]), None)
    for section in sections:
        if lead is not None and section.mid in group:  # RFC 9143: the first one's attributes hold for all
            for name in ("ice-ufrag", "ice-pwd", "fingerprint", "setup"):
                if name in lead.attributes:
                    section.attributes.setdefault(name, lead.attributes[name])
    return group


def _check_transport(section: MediaSection) -> None:
    for name, meaning in (("ice-ufrag", "ICE user"), ("ice-pwd", "ICE password"), ("setup", "DTLS role")):
        if not section.first(name):
            raise SdpError(f"the offer's {section.kind} has no {meaning} (a={name})")
    if not _fingerprints(section):
        raise SdpError(f"the offer's {section.kind} has no supported fingerprint (sha-256, sha-384, sha-512)")
    if "rtcp-mux" not in section.attributes:
        raise SdpError(f"the offer's {section.kind} has no a=rtcp-mux")


def _fingerprints(section: MediaSection) -> list[str]:
    values = [value.split() for value in section.attributes.get("fingerprint", [])]
    return [f"{a.lower()} {d}" for a, d in values if _DIGESTS.get(a.lower(), 0) * 3 - 1 == len(d)]


def _rewritten(
    session: dict[str, list[str]],
    kept: list[MediaSection],
    codecs: dict[str, list[Codec]],
    group: list[str],
    policy: CandidatePolicy,
) -> str:
    lines = ["v=0", "o=- 0 0 IN IP4 0.0.0.0", "s=-", "t=0 0"]
    if "ice-lite" in session:
        lines.append("a=ice-lite")
    if bundled := [section.mid for section in kept if section.mid in group]:
        lines.append("a=group:BUNDLE " + " ".join(bundled))
    for section in kept:
        lines += _section_lines(section, codecs[section.kind], policy)
    return "\r\n".join(lines) + "\r\n"


def _section_lines(section: MediaSection, codecs: list[Codec], policy: CandidatePolicy) -> list[str]:
    clock = "48000/2" if section.kind == "audio" else "90000"
    lines = [f"m={section.kind} 9 UDP/TLS/RTP/SAVPF " + " ".join(str(codec.number) for codec in codecs)]
    lines += [f"a=mid:{section.mid}", f"a={section.direction}", "a=rtcp-mux"]
    lines += [f"a={name}:{section.first(name)}" for name in ("ice-ufrag", "ice-pwd", "setup")]
    lines += [f"a=fingerprint:{value}" for value in _fingerprints(section)]
    lines += [f"a=extmap:{value}" for value in section.attributes.get("extmap", []) if _is_supported(value)]
    for codec in codecs:
        lines += codec.lines(clock)
    return lines + _ssrcs(section) + _candidates(section, policy)


def _is_supported(extension: str) -> bool:
    number, _, uri = extension.partition(" ")
    return uri in _EXTENSIONS and re.fullmatch(r"([1-9]|1[0-4])(/[a-z]+)?", number) is not None


def _ssrcs(section: MediaSection) -> list[str]:
    """The SSRCs of the first stream and its retransmissions: aiortc assumes that any two are these."""
    groups = [re.fullmatch(r"FID (\d{1,10}) (\d{1,10})", g) for g in section.attributes.get("ssrc-group", [])]
    singles = [re.fullmatch(r"(\d{1,10}) .*", s) for s in section.attributes.get("ssrc", [])]
    first = next((m for m in (*groups, *singles) if m), None)
    numbers = [n for n in first.groups() if int(n) < 2**32] if first else []
    return [f"a=ssrc:{number} cname:-" for number in numbers]


def _candidates(section: MediaSection, policy: CandidatePolicy) -> list[str]:
    """Without end-of-candidates: aiortc would give up at once where the list is empty, before the client's checks."""
    usable = [value for value in section.attributes.get("candidate", []) if _usable(value, policy)]
    return [f"a=candidate:{value.strip()}" for value in usable[:MAX_CANDIDATES]]


def _usable(value: str, policy: CandidatePolicy) -> bool:
    """Whether it is UDP, for component 1, to an allowed address. Raises SdpError for a malformed one."""
    match = CANDIDATE.fullmatch(value)
    if match is None:
        raise SdpError(f"invalid SDP line: {excerpt(f'a=candidate:{value}')}")
    _, component, transport, priority, address, port, kind, _ = match.groups()
    if int(port) > 65_535 or int(priority) >= 2**31:
        raise SdpError(f"invalid SDP line: {excerpt(f'a=candidate:{value}')}")
    usable = component == "1" and transport.lower() == "udp" and kind != "prflx" and int(port) > 0
    return usable and policy.allows(address, int(port))


def _mid(lines: list[str]) -> str:
    return next((line.removeprefix("a=mid:") for line in lines if line.startswith("a=mid:")), "")


def _with_settings(lines: list[str], bps: int, h264: dict[int, str]) -> list[str]:
    """Add Chromium's bit rate parameters, in kilobits per second, to each video codec, and error correction to Opus.
    Replace aiortc's parameters of H.264 with those in `h264`.

    Lost packets of sound are not sent again: with error correction the next packet repeats them, at a lower quality.
    """
    kbps = bps // 1000
    video = f"x-google-start-bitrate={kbps};x-google-min-bitrate={kbps // 3};x-google-max-bitrate={kbps * 2}"
    settings = {"VP8": video, "H264": video, "opus": "minptime=10;useinbandfec=1"}
    found = []
    for line in lines:
        match = re.match(r"a=rtpmap:(\d+) (VP8|H264|opus)/", line)
        fmtp = match and next((ln for ln in lines if ln.startswith(f"a=fmtp:{match[1]} ")), None)
        if match and fmtp is None:
            found += [line, f"a=fmtp:{match[1]} {settings[match[2]]}"]
        elif line.startswith("a=fmtp:") and "packetization-mode" in line:
            number = line.removeprefix("a=fmtp:").split()[0]
            found.append(f"a=fmtp:{number} {';'.join(filter(None, [h264[int(number)], video]))}")
        else:
            found.append(line)
    return found


def _declined(section: MediaSection) -> list[str]:
    kind, _, *rest = section.header.split(" ")
    return [f"{kind} 0 {' '.join(rest)}", "c=IN IP4 0.0.0.0", "a=inactive", f"a=mid:{section.mid}"]
