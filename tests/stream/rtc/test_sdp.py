import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.errors import SdpError, UnsupportedCodec
from stream.rtc.ice import CandidatePolicy
from stream.rtc.sdp import MediaDirections, ParsedOffer, finish_answer, first_codec, read_fragment, read_offer
from tests.offers import CHROMIUM, mutated, only, replaced, without

CAMERA = MediaDirections(video_in=True, video_out=True)
LOOPBACK = CandidatePolicy(loopback=True)
HOST = "a=candidate:1 1 udp 2122260223 {} {} typ host"


def parsed(text: str, directions: MediaDirections = CAMERA, policy: CandidatePolicy = LOOPBACK) -> ParsedOffer:
    return read_offer(text, directions, policy)


def test_the_usable_parts_of_a_browsers_offer_are_kept() -> None:
    offer = parsed(CHROMIUM)
    assert [section.kind for section in offer.sections] == ["audio", "video", "application"]
    assert offer.kept == ("0", "1")
    assert set(re.findall(r"a=rtpmap:\d+ (\S+)", offer.sdp)) == {"opus/48000/2", "VP8/90000", "H264/90000", "rtx/90000"}
    levels = re.findall(r"packetization-mode=(.);profile-level-id=(\w+)", offer.sdp)
    assert levels == [("1", "42001f"), ("1", "42e01f")]
    assert offer.sdp.count("a=candidate") == 8  # UDP, of audio and video
    assert "end-of-candidates" not in parsed(CHROMIUM + "a=end-of-candidates\r\n").sdp


def test_the_preferred_codec_comes_first() -> None:
    for name in ("VP8", "H264"):
        offer = read_offer(CHROMIUM, CAMERA, CandidatePolicy(), [name])
        assert first_codec(offer.sdp, "video") == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\r\n",
        '{"type": "offer", "sdp": "v=0"}',
        "\x00\x01\x02\xff" * 50,
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n",
        without("a=fingerprint"),
        without("a=ice-ufrag"),
        without("a=ice-pwd"),
        without("a=setup"),
        without("a=rtcp-mux"),
        without("a=mid"),
        without("m=video"),
        replaced("a=mid:1", "a=mid:0"),
        replaced("sha-256", "sha-1"),
        replaced("m=video ", "m=video 99999999 "),
        replaced("m=video ", "m=video -"),
        replaced(" typ host", " typ"),
        replaced(" udp ", " udp"),
        replaced("a=candidate:", "a=candidate:x y "),
        replaced("a=rtpmap:96 VP8/90000", "a=rtpmap:96"),
        replaced("a=fmtp:102 ", "a=fmtp:"),
        CHROMIUM[: CHROMIUM.index("m=application")],  # cut off before a section
        CHROMIUM[: CHROMIUM.index("a=fingerprint") + 30],
        CHROMIUM + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" * 300,
        CHROMIUM + "a=x:" + "y" * 128 * 1024,
        CHROMIUM.replace("a=sendrecv", "a=recvonly"),
    ],
)
def test_unusable_offers_are_refused_with_a_reason(text: str) -> None:
    with pytest.raises(SdpError, match=r"\w") as failed:
        parsed(text)
    assert failed.value.code == "bad_sdp"
    assert len(str(failed.value)) < 200


@pytest.mark.parametrize("names", [("VP9", "H265"), ("AV1", "VP9")])
def test_an_offer_without_a_supported_codec_is_refused(names: tuple[str, ...]) -> None:
    text = only(*names).replace("AV1/90000", "H265/90000") if "H265" in names else only(*names)
    with pytest.raises(UnsupportedCodec) as failed:
        parsed(text)
    assert failed.value.code == "unsupported_codec"


def test_h264_with_packetization_mode_0_only_is_refused() -> None:
    with pytest.raises(UnsupportedCodec):
        parsed(only("H264").replace("packetization-mode=1", "packetization-mode=0"))


PUBLISHER = MediaDirections(video_in=True, video_out=False)
VIEWER = MediaDirections(video_in=False, video_out=True)


def h264(*parameters: str) -> str:
    """A video-only offer, as publishers make it, with H.264 under the payload types from 96, with these parameters."""
    head, _, video = without("a=candidate").partition("m=video")
    transport = [
        ln for ln in video.split("\r\n") if ln.startswith(("a=ice-", "a=finger", "a=setup", "a=mid", "a=rtcp-mux"))
    ]
    numbers = range(96, 96 + len(parameters))
    lines = [f"m=video 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, numbers))}", "a=sendrecv", *transport]
    for number, fmtp in zip(numbers, parameters, strict=True):
        lines += [f"a=rtpmap:{number} H264/90000"] + ([f"a=fmtp:{number} {fmtp}"] if fmtp else [])
    session = head[: head.index("m=")].replace("BUNDLE 0 1 2", "BUNDLE 1")
    return session + "\r\n".join(lines) + "\r\n"


def answered(text: str, directions: MediaDirections = PUBLISHER) -> list[str]:
    """The H.264 parameters of the answer, by payload type, without the bit rate hint."""
    offer = parsed(text, directions)
    shown = set(re.findall(r"a=fmtp:\d+ (\S*profile-level-id=\S+)", offer.sdp))
    assert all(re.fullmatch(r"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42\w+", s) for s in shown)
    answer = finish_answer(offer, offer.sdp, 8_000_000)
    return [re.sub(";?x-google.*", "", found) for found in re.findall(r"a=fmtp:\d+ (.*)\r\n", answer)]


@pytest.mark.parametrize(
    "level", ["42c01e", "42001f", "42E034", "4d001f", "4d4028", "64001f", "640c1f", "6e0020", "7a0033"]
)
@pytest.mark.parametrize("mode", ["0", "1"])
def test_a_publishers_h264_is_answered_as_it_was_offered(level: str, mode: str) -> None:
    """RFC 6184, section 8.2.2: profile and packetization mode must be the same."""
    fmtp = f"level-asymmetry-allowed=1;packetization-mode={mode};profile-level-id={level}"
    assert answered(h264(fmtp)) == [fmtp]
    assert answered(h264(f"profile-level-id={level}; packetization-mode={mode}")) == [
        f"packetization-mode={mode};profile-level-id={level}"
    ], "level asymmetry needs both sides"


def test_each_payload_type_keeps_its_parameters() -> None:
    offered = ["packetization-mode=0;profile-level-id=42e01f", "packetization-mode=1;profile-level-id=640028", ""]
    assert answered(h264(*offered)) == offered
    unusable = ["packetization-mode=2;profile-level-id=42e01f", "packetization-mode=1;profile-level-id=58001f"]
    assert answered(h264(*unusable, offered[1])) == [offered[1]]


@pytest.mark.parametrize(
    "fmtp",
    [
        "packetization-mode=2;profile-level-id=42e01f",
        "packetization-mode=1;profile-level-id=58001f",
        "packetization-mode=1;profile-level-id=ff001f",
        "packetization-mode=1;profile-level-id=64",
    ],
)
def test_h264_that_cannot_be_received_is_refused(fmtp: str) -> None:
    with pytest.raises(UnsupportedCodec):
        parsed(h264(fmtp), PUBLISHER)


@pytest.mark.parametrize("directions", [CAMERA, VIEWER])
def test_h264_that_this_server_sends_is_constrained_baseline_where_the_client_offers_it(
    directions: MediaDirections,
) -> None:
    baseline, high = ("packetization-mode=1;profile-level-id=" + level for level in ("42e01f", "64001f"))
    assert answered(h264(high, baseline), directions) == [baseline]
    assert answered(h264(high), directions) == [high], "a decoder of High decodes it too"
    with pytest.raises(UnsupportedCodec, match="packetization mode 1,"):
        parsed(h264("packetization-mode=0;profile-level-id=42e01f"), directions)


def test_the_refusal_names_what_was_offered() -> None:
    with pytest.raises(UnsupportedCodec, match=r"\(AV1, VP9\)"):
        parsed(only("AV1", "VP9", "rtx"), PUBLISHER)
    with pytest.raises(UnsupportedCodec) as failed:
        parsed(h264("").replace("H264/90000", f"{'X' * 500}/90000"), PUBLISHER)
    assert len(str(failed.value)) < 200


@pytest.mark.parametrize("names", ["0 1", "1 0", "1", "1 9 8"])
def test_mids_without_an_m_line_in_a_group_are_ignored(names: str) -> None:
    """FFmpeg 8.0 names audio and video where it sends video only."""
    offer = parsed(
        h264("packetization-mode=1;profile-level-id=42e01f").replace("BUNDLE 1", f"BUNDLE {names}"), PUBLISHER
    )
    assert offer.bundled
    assert "a=group:BUNDLE 1\r\n" in offer.sdp


def test_a_viewer_must_receive_video() -> None:
    viewer = MediaDirections(video_in=False, video_out=True)
    assert parsed(CHROMIUM.replace("a=sendrecv", "a=recvonly"), viewer).video_out
    with pytest.raises(SdpError, match="sendonly"):
        parsed(CHROMIUM.replace("a=sendrecv", "a=sendonly"), viewer)


@pytest.mark.parametrize(
    ("address", "loopback", "kept"),
    [
        ("192.168.1.7", False, True),
        ("8.8.8.8", False, True),
        ("2001:db8::7", False, True),
        ("127.0.0.1", False, False),
        ("127.0.0.1", True, True),
        ("::1", False, False),
        ("::ffff:127.0.0.1", False, False),
        ("169.254.169.254", True, False),
        ("::ffff:169.254.169.254", True, False),
        ("fd00:ec2::254", True, False),
        ("fd00:ec2::253", True, False),
        ("fd20:ce::254", True, False),
        ("100.100.100.200", True, False),
        ("168.63.129.16", True, False),
        ("192.0.0.192", True, False),
        ("64:ff9b::a9fe:a9fe", True, False),
        ("64:ff9b:1::a9fe:a9fe", True, False),
        ("::ffff:0:a9fe:a9fe", True, False),
        ("64:ff9b::808:808", False, True),
        ("fd12:3456::7", False, True),
        ("100.64.0.7", False, True),
        ("fe80::1", True, False),
        ("0.0.0.0", True, False),
        ("255.255.255.255", True, False),
        ("224.0.0.251", True, False),
        ("0x7f000001", True, False),
        ("2130706433", True, False),
        ("turn.example", True, False),
        ("0c1d9b2e.local", True, False),
    ],
)
def test_only_allowed_candidate_addresses_are_kept(address: str, loopback: bool, kept: bool) -> None:
    text = without("a=candidate") + HOST.format(address, 4000) + "\r\n"
    text = text.replace("m=application", HOST.format(address, 4000) + "\r\nm=application")
    assert (f" {address} 4000" in parsed(text, policy=CandidatePolicy(loopback)).sdp) is kept


def test_the_operators_turn_server_is_refused_but_not_its_relayed_ports() -> None:
    policy = CandidatePolicy(refused=frozenset({("203.0.113.5", 3478)}))
    assert not policy.allows("203.0.113.5", 3478)
    assert policy.allows("203.0.113.5", 49_170)


def test_candidates_are_limited_in_number() -> None:
    many = "".join(HOST.format("192.0.2.7", port) + "\r\n" for port in range(2000, 2100))
    assert parsed(CHROMIUM.replace("m=application", many + "m=application")).sdp.count("192.0.2.7") <= 32


def test_an_answer_declines_the_other_sections_and_has_a_bit_rate_hint() -> None:
    offer = parsed(CHROMIUM)
    answer = finish_answer(offer, offer.sdp, 8_000_000)  # aiortc's answer has the same structure as its offer
    heads = [line for line in answer.split("\r\n") if line.startswith("m=")]
    assert [head.split()[0] for head in heads] == ["m=audio", "m=video", "m=application"]
    assert [head.split()[1] == "0" for head in heads] == [False, False, True]
    assert "a=group:BUNDLE 0 1\r\n" in answer
    hint = "x-google-start-bitrate=2764;x-google-min-bitrate=921;x-google-max-bitrate=5528"
    assert len(re.findall(rf"a=fmtp:\d+ .*{hint}", answer)) == 3


def test_bundled_sections_inherit_the_transport_of_the_first() -> None:
    head, video = CHROMIUM.split("m=video")
    bare = re.sub(r"a=(ice-ufrag|ice-pwd|fingerprint|setup|candidate):.*\r\n", "", video)
    text = head + "m=video" + bare.replace("a=mid:1", "a=mid:1\r\na=bundle-only").replace(" 42196 ", " 0 ", 1)
    assert parsed(text).kept == ("0", "1")


def test_the_transport_may_be_given_at_session_level() -> None:
    """As libdatachannel, and so OBS, writes it."""
    lines = CHROMIUM.split("\r\n")
    start = ("a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup")
    transport = list(dict.fromkeys(line for line in lines if line.startswith(start)))
    rest = [line for line in lines if not line.startswith(start)]
    offer = parsed("\r\n".join([*rest[:5], *transport, *rest[5:]]))
    assert offer.kept == ("0", "1")
    assert offer.sdp.count("a=fingerprint:sha-256") == 2


FRAGMENT = "a=ice-ufrag:{}\r\na=ice-pwd:0123456789012345678901\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:{}\r\n"


def test_a_fragment_adds_candidates() -> None:
    offer = parsed(CHROMIUM)
    lines = "1 1 udp 2122260223 192.0.2.9 4000 typ host\r\na=candidate:2 1 udp 1 169.254.169.254 80 typ host"
    found = list(read_fragment(FRAGMENT.format(offer.ufrag, lines), offer, CandidatePolicy()))
    assert [(c.ip, c.port, c.sdpMid) for c in found] == [("192.0.2.9", 4000, "0")]


@pytest.mark.parametrize(
    "fragment",
    [
        "",
        "garbage",
        FRAGMENT.format("else", "1 1 udp 1 192.0.2.9 9 typ host"),
        "a=candidate:1 1",
        "a=candidate:1 1 udp 1 192.0.2.9 9 typ srflx raddr 192.0.2.1 rport x",
    ],
)
def test_an_unusable_fragment_is_refused(fragment: str) -> None:
    with pytest.raises(SdpError):
        list(read_fragment(fragment, parsed(CHROMIUM), CandidatePolicy()))


@pytest.mark.long
@given(st.one_of(mutated(), st.text(max_size=300)))
@settings(max_examples=300)
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for read in (lambda: parsed(text), lambda: list(read_fragment(text, parsed(CHROMIUM), CandidatePolicy()))):
        try:
            read()
        except SdpError:
            continue
