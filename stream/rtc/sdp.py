"""Offers are checked here before aiortc sees them, and answers finished before browsers do.

aiortc takes an empty text for an offer, breaks on others in many ways, and cannot decline a part of one. It is given a
text written anew from what was understood: one video, at most one sound, codecs that can be used, candidates that may
be spoken to. Every other part of the offer is declined in the answer. RFC 8866 (SDP), 8839 (ICE), 8829 (answers).
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from aiortc import RTCIceCandidate
from aiortc.sdp import candidate_from_sdp

from stream.errors import SdpError, UnsupportedCodec
from stream.rtc.encoder import fitting_bps
from stream.rtc.ice import Reach
from stream.rtc.sdp_codecs import Codec, sound_codecs, video_codecs
from stream.rtc.sdp_parts import CANDIDATE, MediaSection, check_form, grouped, lines_of, parse, shown

MAX_CANDIDATES = 32

_DIGESTS = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_EXTENSIONS = (
    "urn:ietf:params:rtp-hdrext:sdes:mid",
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
)


@dataclass(frozen=True)
class Wants:
    """What the connection is for. video_in: the client's camera. video_out: a picture for the client."""

    video_in: bool
    video_out: bool


@dataclass(frozen=True)
class ParsedOffer:
    """What was understood. sdp: for aiortc. parts: all of them, in order. kept: mids of those that are not declined."""

    sdp: str
    parts: tuple[MediaSection, ...]
    kept: tuple[str, ...]
    bundled: bool
    video_in: bool
    video_out: bool
    sound_in: bool
    sound_out: bool
    ufrag: str


def read_offer(text: str, wants: Wants, reach: Reach, prefer: Collection[str] = ()) -> ParsedOffer:
    """Check an offer. prefer: codecs to put first, where the client takes them. Raises SdpError, UnsupportedCodec."""
    session, parts = parse(text)
    video = _pick(parts, "video")
    if video is None:
        raise SdpError("the offer has no video")
    if wants.video_in and not video.sends:
        raise SdpError(f"the offer's video is {video.direction}: no camera is sent")
    if wants.video_out and not wants.video_in and not video.receives:
        raise SdpError(f"the offer's video is {video.direction}: no picture is wanted")
    codecs = {"video": video_codecs(video, prefer)}
    if not codecs["video"]:
        raise UnsupportedCodec("the offer has neither H.264 (constrained baseline, packetization mode 1) nor VP8")
    sound = _pick(parts, "audio")
    if sound is not None:
        codecs["audio"] = sound_codecs(sound)
    kept = [part for part in parts if part is video or (part is sound and codecs["audio"])]
    group = _bundle(session, parts)
    for part in kept:
        _check_transport(part)
    sound = sound if sound in kept else None
    return ParsedOffer(
        sdp=_rewritten(session, kept, codecs, group, reach),
        parts=tuple(parts),
        kept=tuple(part.mid for part in kept),
        bundled=bool(group),
        video_in=wants.video_in,
        video_out=wants.video_out and video.receives,
        sound_in=wants.video_in and sound is not None and sound.sends,
        sound_out=wants.video_out and sound is not None and sound.receives,
        ufrag=video.one("ice-ufrag"),
    )


def finish_answer(offer: ParsedOffer, answer: str, most_bps: int, width: int = 1280, height: int = 720) -> str:
    """aiortc's answer with the parts it was not shown declined, and a hint for browsers at what rate to begin.

    width, height: the picture hoped for. Without the hint Chromium begins at 300 kbit/s, a quarter of the size.
    """
    session, parts = grouped(answer)
    mine = {_mid(lines): lines for lines in parts}
    bps = fitting_bps(width, height, 30.0, most_bps)
    lines = session if offer.bundled else [line for line in session if not line.startswith("a=group:BUNDLE")]
    for part in offer.parts:
        lines = lines + (_hinted(mine[part.mid], bps) if part.mid in mine else _declined(part))
    return "\r\n".join(lines) + "\r\n"


def first_codec(text: str, kind: str) -> str:
    """The name of the codec that a description puts first: what its sender will use."""
    for lines in grouped(text)[1]:
        if lines[0].startswith(f"m={kind} "):
            number = lines[0].split()[3]
            return next(ln.split()[1].split("/")[0] for ln in lines if ln.startswith(f"a=rtpmap:{number} "))
    return ""


def read_fragment(text: str, offer: ParsedOffer, reach: Reach) -> Iterator[RTCIceCandidate]:
    """The candidates of a trickle fragment (RFC 8840) that may be spoken to. Raises SdpError."""
    mid = offer.kept[0]
    for line in lines_of(text):
        name, _, value = line[2:].partition(":")
        if line.startswith("a="):
            check_form(name, value)
        if name == "ice-ufrag" and value != offer.ufrag:
            raise SdpError("these candidates are for another offer; ICE restarts are not supported, send a new offer")
        if name == "mid" and not offer.bundled:
            mid = value
        if name == "candidate" and _usable(value, reach):
            candidate = candidate_from_sdp(value.removeprefix("candidate:"))
            candidate.sdpMid = mid
            yield candidate


def _pick(parts: list[MediaSection], kind: str) -> MediaSection | None:
    """The first of its kind that the client has not itself refused."""
    return next(
        (p for p in parts if p.kind == kind and (p.header.split()[1] != "0" or "bundle-only" in p.attributes)), None
    )


def _bundle(session: dict[str, list[str]], parts: list[MediaSection]) -> list[str]:
    """The mids that share one transport."""
    group = next((g.split()[1:] for g in session.get("group", []) if g.startswith("BUNDLE")), [])
    if missing := set(group) - {part.mid for part in parts}:
        raise SdpError(f"the offer is cut off: it has no m-line for mid {shown(min(missing))}")
    lead = next((part for part in parts if group and part.mid == group[0]), None)
    for part in parts:
        if lead is not None and part.mid in group:  # RFC 9143: the first speaks for all
            for name in ("ice-ufrag", "ice-pwd", "fingerprint", "setup"):
                if name in lead.attributes:
                    part.attributes.setdefault(name, lead.attributes[name])
    return group


def _check_transport(part: MediaSection) -> None:
    for name, what in (("ice-ufrag", "ICE user"), ("ice-pwd", "ICE password"), ("setup", "DTLS role")):
        if not part.one(name):
            raise SdpError(f"the offer's {part.kind} has no {what} (a={name})")
    if not _fingerprints(part):
        raise SdpError(f"the offer's {part.kind} has no fingerprint that is known (sha-256, sha-384, sha-512)")
    if "rtcp-mux" not in part.attributes:
        raise SdpError(f"the offer's {part.kind} has no a=rtcp-mux")


def _fingerprints(part: MediaSection) -> list[str]:
    given = [value.split() for value in part.attributes.get("fingerprint", [])]
    return [f"{a.lower()} {d}" for a, d in given if _DIGESTS.get(a.lower(), 0) * 3 - 1 == len(d)]


def _rewritten(
    session: dict[str, list[str]],
    kept: list[MediaSection],
    codecs: dict[str, list[Codec]],
    group: list[str],
    reach: Reach,
) -> str:
    lines = ["v=0", "o=- 0 0 IN IP4 0.0.0.0", "s=-", "t=0 0"]
    if "ice-lite" in session:
        lines.append("a=ice-lite")
    if together := [part.mid for part in kept if part.mid in group]:
        lines.append("a=group:BUNDLE " + " ".join(together))
    for part in kept:
        lines += _part_lines(part, codecs[part.kind], reach)
    return "\r\n".join(lines) + "\r\n"


def _part_lines(part: MediaSection, codecs: list[Codec], reach: Reach) -> list[str]:
    clock = "48000/2" if part.kind == "audio" else "90000"
    lines = [f"m={part.kind} 9 UDP/TLS/RTP/SAVPF " + " ".join(str(codec.number) for codec in codecs)]
    lines += [f"a=mid:{part.mid}", f"a={part.direction}", "a=rtcp-mux"]
    lines += [f"a={name}:{part.one(name)}" for name in ("ice-ufrag", "ice-pwd", "setup")]
    lines += [f"a=fingerprint:{value}" for value in _fingerprints(part)]
    lines += [f"a=extmap:{value}" for value in part.attributes.get("extmap", []) if _is_known(value)]
    for codec in codecs:
        lines += codec.lines(clock)
    return lines + _ssrcs(part) + _candidates(part, reach)


def _is_known(extension: str) -> bool:
    number, _, uri = extension.partition(" ")
    return uri in _EXTENSIONS and re.fullmatch(r"([1-9]|1[0-4])(/[a-z]+)?", number) is not None


def _ssrcs(part: MediaSection) -> list[str]:
    """The first stream and its retransmissions: aiortc takes any two for that."""
    groups = [re.fullmatch(r"FID (\d{1,10}) (\d{1,10})", g) for g in part.attributes.get("ssrc-group", [])]
    singles = [re.fullmatch(r"(\d{1,10}) .*", s) for s in part.attributes.get("ssrc", [])]
    first = next((m for m in (*groups, *singles) if m), None)
    numbers = [n for n in first.groups() if int(n) < 2**32] if first else []
    return [f"a=ssrc:{number} cname:-" for number in numbers]


def _candidates(part: MediaSection, reach: Reach) -> list[str]:
    """Never with their end: aiortc would give up at once where there are none, though the client's own checks come."""
    usable = [value for value in part.attributes.get("candidate", []) if _usable(value, reach)]
    return [f"a=candidate:{value.strip()}" for value in usable[:MAX_CANDIDATES]]


def _usable(value: str, reach: Reach) -> bool:
    """UDP, for the one component there is, to an address that may be spoken to."""
    match = CANDIDATE.fullmatch(value)
    if match is None:
        raise SdpError(f"cannot be read: {shown(f'a=candidate:{value}')}")
    _, component, transport, priority, address, port, kind, _ = match.groups()
    if int(port) > 65_535 or int(priority) >= 2**31:
        raise SdpError(f"cannot be read: {shown(f'a=candidate:{value}')}")
    plain = component == "1" and transport.lower() == "udp" and kind != "prflx" and int(port) > 0
    return plain and reach.allows(address, int(port))


def _mid(lines: list[str]) -> str:
    return next((line.removeprefix("a=mid:") for line in lines if line.startswith("a=mid:")), "")


def _hinted(lines: list[str], bps: int) -> list[str]:
    """Chromium's own parameters, in kilobits a second, for each video codec."""
    kbps = bps // 1000
    hint = f"x-google-start-bitrate={kbps};x-google-min-bitrate={kbps // 3};x-google-max-bitrate={kbps * 2}"
    found = []
    for line in lines:
        match = re.match(r"a=rtpmap:(\d+) (VP8|H264)/", line)
        own = match and next((ln for ln in lines if ln.startswith(f"a=fmtp:{match[1]} ")), None)
        if match and own is None:
            found += [line, f"a=fmtp:{match[1]} {hint}"]
        elif line.startswith("a=fmtp:") and "packetization-mode" in line:
            found.append(f"{line};{hint}")
        else:
            found.append(line)
    return found


def _declined(part: MediaSection) -> list[str]:
    kind, _, *rest = part.header.split(" ")
    return [f"{kind} 0 {' '.join(rest)}", "c=IN IP4 0.0.0.0", "a=inactive", f"a=mid:{part.mid}"]
