"""Offers are checked here before aiortc sees them, and answers finished before browsers do.

aiortc takes an empty text for an offer, breaks on others in many ways, and cannot decline a part of one. It is given a
text written anew from what was understood: one video, at most one sound, codecs that can be used, candidates that may
be spoken to. Every other part of the offer is declined in the answer. RFC 8866 (SDP), 8839 (ICE), 8829 (answers).
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from aiortc import RTCIceCandidate
from aiortc.sdp import H264Profile, candidate_from_sdp, parse_h264_profile_level_id

from stream.errors import SdpError, UnsupportedCodec
from stream.ice import Reach
from stream.live_encode import fitting_bps

MAX_BYTES = 128 * 1024
_MAX_PARTS = 16
_MAX_CANDIDATES = 32

_LINE = re.compile(r"[a-z]=\S.*")
_MEDIA = re.compile(r"m=([a-z]{1,16}) (\d{1,5}) ([A-Z/]{1,32})((?: [!-~]{1,64}){1,64})")
_CANDIDATE = re.compile(
    r"(?:candidate:)?([\w+/]{1,32}) (\d{1,3}) ([A-Za-z-]{1,16}) (\d{1,10}) ([!-~]{1,253}) (\d{1,5})"
    r" typ (host|srflx|prflx|relay)((?: [!-~]+)*) ?"
)
_FORMS = {  # what must look like this where it stands
    "ice-ufrag": re.compile(r"[\w+/-]{4,256}"),
    "ice-pwd": re.compile(r"[\w+/-]{22,256}"),
    "fingerprint": re.compile(r"[\w-]{1,32} [0-9A-Fa-f:]{2,256}"),
    "setup": re.compile(r"actpass|active|passive"),
    "mid": re.compile(r"[!-~]{1,16}"),
    "rtpmap": re.compile(r"\d{1,3} [\w.-]+/\d{1,9}(/\d{1,2})?"),
    "fmtp": re.compile(r"\d{1,3} .+"),
    "candidate": _CANDIDATE,
}
_DIGESTS = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_FEEDBACK = ("nack", "nack pli", "goog-remb")
_EXTENSIONS = (
    "urn:ietf:params:rtp-hdrext:sdes:mid",
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
)
_PAYLOADS = range(96, 128)  # aiortc answers others with numbers of its own


@dataclass(frozen=True)
class Wants:
    """What the connection is for. video_in: the client's camera. video_out: a picture for the client."""

    video_in: bool
    video_out: bool


@dataclass(frozen=True)
class Part:
    """One m-line and what stands under it, with the session's own attributes where it has none."""

    kind: str
    header: str
    attributes: dict[str, list[str]]

    def one(self, name: str) -> str:
        return self.attributes.get(name, [""])[0]

    @property
    def mid(self) -> str:
        return self.one("mid")

    @property
    def direction(self) -> str:
        return next((d for d in _DIRECTIONS if d in self.attributes), "sendrecv")

    @property
    def sends(self) -> bool:
        return self.direction in ("sendrecv", "sendonly")

    @property
    def receives(self) -> bool:
        return self.direction in ("sendrecv", "recvonly")


@dataclass(frozen=True)
class Offer:
    """What was understood. sdp: for aiortc. parts: all of them, in order. kept: mids of those that are not declined."""

    sdp: str
    parts: tuple[Part, ...]
    kept: tuple[str, ...]
    bundled: bool
    video_in: bool
    video_out: bool
    sound_in: bool
    sound_out: bool
    ufrag: str


def read_offer(text: str, wants: Wants, reach: Reach, prefer: Collection[str] = ()) -> Offer:
    """Check an offer. prefer: codecs to put first, where the client takes them. Raises SdpError, UnsupportedCodec."""
    session, parts = _parse(text)
    video = _pick(parts, "video")
    if video is None:
        raise SdpError("the offer has no video")
    if wants.video_in and not video.sends:
        raise SdpError(f"the offer's video is {video.direction}: no camera is sent")
    if wants.video_out and not wants.video_in and not video.receives:
        raise SdpError(f"the offer's video is {video.direction}: no picture is wanted")
    codecs = {"video": _video_codecs(video, prefer)}
    if not codecs["video"]:
        raise UnsupportedCodec("the offer has neither H.264 (constrained baseline, packetization mode 1) nor VP8")
    sound = _pick(parts, "audio")
    if sound is not None:
        codecs["audio"] = _sound_codecs(sound)
    kept = [part for part in parts if part is video or (part is sound and codecs["audio"])]
    group = _bundle(session, parts)
    for part in kept:
        _check_transport(part)
    sound = sound if sound in kept else None
    return Offer(
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


def finish_answer(offer: Offer, answer: str, most_bps: int, width: int = 1280, height: int = 720) -> str:
    """aiortc's answer with the parts it was not shown declined, and a hint for browsers at what rate to begin.

    width, height: the picture hoped for. Without the hint Chromium begins at 300 kbit/s, a quarter of the size.
    """
    session, parts = _grouped(answer)
    mine = {_mid(lines): lines for lines in parts}
    bps = fitting_bps(width, height, 30.0, most_bps)
    lines = session if offer.bundled else [line for line in session if not line.startswith("a=group:BUNDLE")]
    for part in offer.parts:
        lines = lines + (_hinted(mine[part.mid], bps) if part.mid in mine else _declined(part))
    return "\r\n".join(lines) + "\r\n"


def first_codec(text: str, kind: str) -> str:
    """The name of the codec that a description puts first: what its sender will use."""
    for lines in _grouped(text)[1]:
        if lines[0].startswith(f"m={kind} "):
            number = lines[0].split()[3]
            return next(ln.split()[1].split("/")[0] for ln in lines if ln.startswith(f"a=rtpmap:{number} "))
    return ""


def read_fragment(text: str, offer: Offer, reach: Reach) -> Iterator[RTCIceCandidate]:
    """The candidates of a trickle fragment (RFC 8840) that may be spoken to. Raises SdpError."""
    mid = offer.kept[0]
    for line in _lines(text):
        name, _, value = line[2:].partition(":")
        if line.startswith("a="):
            _check_form(name, value)
        if name == "ice-ufrag" and value != offer.ufrag:
            raise SdpError("these candidates are for another offer; ICE restarts are not supported, send a new offer")
        if name == "mid" and not offer.bundled:
            mid = value
        if name == "candidate" and _usable(value, reach):
            candidate = candidate_from_sdp(value.removeprefix("candidate:"))
            candidate.sdpMid = mid
            yield candidate


def _lines(text: str) -> list[str]:
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise SdpError(f"the description is larger than {MAX_BYTES // 1024} KiB")
    lines = [line.rstrip() for line in re.split(r"\r?\n", text) if line.strip()]
    wrong = next((line for line in lines if not _LINE.fullmatch(line)), None)
    if wrong is not None or not lines:
        raise SdpError(f"this is no SDP: {_shown(wrong or '')}")
    return lines


def _grouped(text: str) -> tuple[list[str], list[list[str]]]:
    """Lines of the session, and those of each part."""
    session: list[str] = []
    parts: list[list[str]] = []
    for line in _lines(text):
        if line.startswith("m="):
            parts.append([line])
        else:
            (parts[-1] if parts else session).append(line)
    return session, parts


def _parse(text: str) -> tuple[dict[str, list[str]], list[Part]]:
    session_lines, groups = _grouped(text)
    if session_lines[:1] != ["v=0"]:
        raise SdpError("this is no SDP: it does not begin with v=0")
    if not 0 < len(groups) <= _MAX_PARTS:
        raise SdpError(f"the offer has {len(groups)} m-lines; 1 to {_MAX_PARTS} are taken")
    session = _attributes(session_lines)
    inherited = {
        k: v for k, v in session.items() if k in ("ice-ufrag", "ice-pwd", "fingerprint", "setup", *_DIRECTIONS)
    }
    parts = []
    for lines in groups:
        header = _MEDIA.fullmatch(lines[0])
        if header is None or int(header[2]) > 65_535:
            raise SdpError(f"not an m-line: {_shown(lines[0])}")
        own = _attributes(lines)
        if any(d in own for d in _DIRECTIONS):
            inherited = {k: v for k, v in inherited.items() if k not in _DIRECTIONS}
        parts.append(Part(header[1], lines[0], inherited | own))
    mids = [part.mid for part in parts]
    if len(set(mids)) < len(mids) or not all(mids):
        raise SdpError("every m-line needs an a=mid of its own")
    return session, parts


def _attributes(lines: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            _check_form(name, value)
            found.setdefault(name, []).append(value)
    return found


def _check_form(name: str, value: str) -> None:
    form = _FORMS.get(name)
    if form is not None and not form.fullmatch(value):
        raise SdpError(f"cannot be read: {_shown(f'a={name}:{value}')}")


def _shown(line: str) -> str:
    return repr(line if len(line) <= 80 else line[:77] + "...")


def _pick(parts: list[Part], kind: str) -> Part | None:
    """The first of its kind that the client has not itself refused."""
    return next(
        (p for p in parts if p.kind == kind and (p.header.split()[1] != "0" or "bundle-only" in p.attributes)), None
    )


def _bundle(session: dict[str, list[str]], parts: list[Part]) -> list[str]:
    """The mids that share one transport."""
    group = next((g.split()[1:] for g in session.get("group", []) if g.startswith("BUNDLE")), [])
    if missing := set(group) - {part.mid for part in parts}:
        raise SdpError(f"the offer is cut off: it has no m-line for mid {_shown(min(missing))}")
    lead = next((part for part in parts if group and part.mid == group[0]), None)
    for part in parts:
        if lead is not None and part.mid in group:  # RFC 9143: the first speaks for all
            for name in ("ice-ufrag", "ice-pwd", "fingerprint", "setup"):
                if name in lead.attributes:
                    part.attributes.setdefault(name, lead.attributes[name])
    return group


def _check_transport(part: Part) -> None:
    for name, what in (("ice-ufrag", "ICE user"), ("ice-pwd", "ICE password"), ("setup", "DTLS role")):
        if not part.one(name):
            raise SdpError(f"the offer's {part.kind} has no {what} (a={name})")
    if not _fingerprints(part):
        raise SdpError(f"the offer's {part.kind} has no fingerprint that is known (sha-256, sha-384, sha-512)")
    if "rtcp-mux" not in part.attributes:
        raise SdpError(f"the offer's {part.kind} has no a=rtcp-mux")


def _fingerprints(part: Part) -> list[str]:
    given = [value.split() for value in part.attributes.get("fingerprint", [])]
    return [f"{a.lower()} {d}" for a, d in given if _DIGESTS.get(a.lower(), 0) * 3 - 1 == len(d)]


@dataclass
class _Codec:
    number: int
    name: str
    fmtp: str = ""
    feedback: list[str] = field(default_factory=list)

    def lines(self, clock: str) -> list[str]:
        lines = [f"a=rtpmap:{self.number} {self.name}/{clock}"]
        lines += [f"a=rtcp-fb:{self.number} {value}" for value in self.feedback]
        return lines + ([f"a=fmtp:{self.number} {self.fmtp}"] if self.fmtp else [])


def _codecs(part: Part) -> list[_Codec]:
    """Those that can be numbered as offered, in the client's order."""
    offered = part.header.split()[3:]
    by_number = {value.split()[0]: value.split()[1] for value in part.attributes.get("rtpmap", [])}
    parameters = dict(value.split(" ", 1) for value in part.attributes.get("fmtp", []))
    found = []
    for number in dict.fromkeys(offered):
        if number in by_number and number.isdigit() and int(number) in _PAYLOADS:
            feedback = _feedback(part, number)
            found.append(_Codec(int(number), by_number[number], parameters.get(number, ""), feedback))
    return found


def _feedback(part: Part, number: str) -> list[str]:
    given = [value.partition(" ") for value in part.attributes.get("rtcp-fb", [])]
    return [kind for to, _, kind in given if to in (number, "*") and kind in _FEEDBACK]


def _video_codecs(part: Part, prefer: Collection[str]) -> list[_Codec]:
    """Usable ones, each followed by its retransmission; those in `prefer` first."""
    codecs = _codecs(part)
    usable = [codec for codec in codecs if _make_usable(codec)]
    usable.sort(key=lambda codec: codec.name not in prefer)
    found = []
    for codec in usable:
        again = (c for c in codecs if c.name == "rtx/90000" and re.match(rf"apt={codec.number}\b", c.fmtp))
        found += [codec, *(_Codec(c.number, "rtx", f"apt={codec.number}") for c in again)]
    return found


def _make_usable(codec: _Codec) -> bool:
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


def _sound_codecs(part: Part) -> list[_Codec]:
    return [_Codec(c.number, "opus") for c in _codecs(part) if c.name.lower() == "opus/48000/2"][:1]


def _rewritten(
    session: dict[str, list[str]], kept: list[Part], codecs: dict[str, list[_Codec]], group: list[str], reach: Reach
) -> str:
    lines = ["v=0", "o=- 0 0 IN IP4 0.0.0.0", "s=-", "t=0 0"]
    if "ice-lite" in session:
        lines.append("a=ice-lite")
    if together := [part.mid for part in kept if part.mid in group]:
        lines.append("a=group:BUNDLE " + " ".join(together))
    for part in kept:
        lines += _part_lines(part, codecs[part.kind], reach)
    return "\r\n".join(lines) + "\r\n"


def _part_lines(part: Part, codecs: list[_Codec], reach: Reach) -> list[str]:
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


def _ssrcs(part: Part) -> list[str]:
    """The first stream and its retransmissions: aiortc takes any two for that."""
    groups = [re.fullmatch(r"FID (\d{1,10}) (\d{1,10})", g) for g in part.attributes.get("ssrc-group", [])]
    singles = [re.fullmatch(r"(\d{1,10}) .*", s) for s in part.attributes.get("ssrc", [])]
    first = next((m for m in (*groups, *singles) if m), None)
    numbers = [n for n in first.groups() if int(n) < 2**32] if first else []
    return [f"a=ssrc:{number} cname:-" for number in numbers]


def _candidates(part: Part, reach: Reach) -> list[str]:
    """Never with their end: aiortc would give up at once where there are none, though the client's own checks come."""
    usable = [value for value in part.attributes.get("candidate", []) if _usable(value, reach)]
    return [f"a=candidate:{value.strip()}" for value in usable[:_MAX_CANDIDATES]]


def _usable(value: str, reach: Reach) -> bool:
    """UDP, for the one component there is, to an address that may be spoken to."""
    match = _CANDIDATE.fullmatch(value)
    if match is None:
        raise SdpError(f"cannot be read: {_shown(f'a=candidate:{value}')}")
    _, component, transport, priority, address, port, kind, _ = match.groups()
    if int(port) > 65_535 or int(priority) >= 2**31:
        raise SdpError(f"cannot be read: {_shown(f'a=candidate:{value}')}")
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


def _declined(part: Part) -> list[str]:
    kind, _, *rest = part.header.split(" ")
    return [f"{kind} 0 {' '.join(rest)}", "c=IN IP4 0.0.0.0", "a=inactive", f"a=mid:{part.mid}"]
