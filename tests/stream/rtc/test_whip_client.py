from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stream.address import Address
from stream.errors import UsageError
from stream.picture.colour import rgb_to_i420
from stream.picture.frames import split_i420
from stream.rtc.client import with_allowed_candidates
from stream.rtc.ice import CandidatePolicy
from stream.rtc.whip_client import _with_level
from stream.rtc.whip_output import WhipOutput
from stream.settings import Settings
from stream.sinks.live.spec import OutputSpec
from tests.clip_feed import feeding
from tests.colours import PATCHES, chart
from tests.media import write_video
from tests.servers import free_port
from tests.waiting import until
from tests.whip_server import TOKEN, WhipServer, whip_server

SETTINGS = Settings(loopback_candidates=True, udp_address="127.0.0.1", hw_encode=False, rtsp_retry_s=0.3)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a colour chart, with beeps."""
    path = tmp_path_factory.mktemp("whip") / "clip.mkv"
    return write_video(path, [chart(256, 128)] * 60, sound_s=2.0, options={"crf": "8"})


@pytest.fixture
def server() -> Iterator[WhipServer]:
    with whip_server() as running:
        yield running


def spec(url: str, token: str | None = TOKEN, insecure: bool = False, **fields: object) -> OutputSpec:
    return OutputSpec(Address.read(f"whip+{url}"), token=token, insecure=insecure, **fields)  # type: ignore[arg-type]


@pytest.mark.long
def test_picture_and_sound_arrive_and_the_session_is_deleted(clip: Path, server: WhipServer) -> None:
    with feeding(clip, spec(server.url), settings=SETTINGS) as feed:
        until(lambda: len(server.frames) > 45 and len(server.sounds) > 45, f"frames and sound, {feed.states}")
        assert feed.output.state == "live"
    assert ("DELETE", "/whip/stage/1", f"Bearer {TOKEN}") in server.requests
    assert {token for _, _, token in server.requests} == {f"Bearer {TOKEN}"}
    assert [status.state for status in feed.states] == ["live", "ended"]
    assert "a=sendonly" in server.offers[0]
    assert "a=sendrecv" not in server.offers[0]
    steps = {b.pts - a.pts for a, b in zip(server.sounds, server.sounds[1:], strict=False)}
    assert steps == {960}  # packets of 20 ms, none is missing
    times = [frame.pts for frame in server.frames]
    assert max(np.diff(times)) <= 2 * 3000 + 3  # 90 kHz: at most one frame was left out by the receiver's slot


@pytest.mark.long
def test_colours_are_right(clip: Path, server: WhipServer) -> None:
    with feeding(clip, spec(server.url, audio="off", bitrate=4_000_000), settings=SETTINGS):
        until(lambda: len(server.frames) > 30, "frames")
    expected = rgb_to_i420(chart(256, 128))
    centres = [(row * 32 + 16, column * 32 + 16) for row in range(4) for column in range(8)]
    luma, luma_sent = (split_i420(pixels)[0] for pixels in (server.frames[30].pixels, expected))
    errors = [abs(int(luma[y, x]) - int(luma_sent[y, x])) for y, x in centres]
    assert np.mean(errors) < 2, errors
    for plane in (1, 2):
        got, sent = (split_i420(pixels)[plane] for pixels in (server.frames[30].pixels, expected))
        errors = [abs(int(got[y // 2, x // 2]) - int(sent[y // 2, x // 2])) for y, x in centres]
        assert np.mean(errors) < 3, errors
    assert len(PATCHES) == len(centres)


@pytest.mark.long
def test_keyframes_come_on_request(clip: Path, server: WhipServer) -> None:
    """A receiver that has lost its picture asks for a keyframe."""
    with feeding(clip, spec(server.url), settings=SETTINGS) as feed:
        until(lambda: len(server.frames) > 10, "frames")
        group = next(iter(feed.fan_out._encodes._video.values()))  # type: ignore[union-attr]
        asked = group.encoder._forced_s
        source = server.peers["/whip/stage/1"].source
        assert source is not None
        source._queue._request_keyframe()
        until(lambda: group.encoder._forced_s != asked, "a keyframe")


def test_the_bit_rate_follows_the_servers_estimate(clip: Path, server: WhipServer) -> None:
    with feeding(clip, spec(server.url, bitrate=2_000_000), settings=SETTINGS) as feed:
        feed.until("live")
        output = feed.fan_out._outputs[1]
        group = next(iter(feed.fan_out._encodes._video.values()))  # type: ignore[union-attr]
        client = output._writer._client
        client._estimated(1_000_000)
        assert group.encoder.wanted_bps == 900_000
        until(lambda: group.encoder._context.bit_rate == 900_000, "the encoder adapts")
    assert group.encoder.wanted_bps == 2_000_000  # the output has left


@pytest.mark.long
@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        ((401, {}), "wrong token (401)"),
        ((403, {}), "wrong token (403)"),
        ((404, {}), "not found (404)"),
        ((409, {}), "the name is in use (409)"),
        ((418, {}), "the server refused the request (418)"),
        ((500, {}), "the server has an internal error (500)"),
        ((503, {"Retry-After": "0"}), "the server is busy (503)"),
        ((200, {}), "the server's answer cannot be read"),
        ((301, {"Location": "/other"}), "the server's answer cannot be read (301)"),
        ((308, {"Location": "ftp://127.0.0.1/x"}), "the server redirects to an address that is not allowed"),
        ((307, {"Location": "http://169.254.169.254/x"}), "the server redirects to an address that is not allowed"),
    ],
)
def test_a_refusal_is_explained_and_retried(
    clip: Path, server: WhipServer, refusal: tuple[int, dict[str, str]], reason: str
) -> None:
    server.refusals = [refusal]
    with feeding(clip, spec(server.url), settings=SETTINGS) as feed:
        feed.until("live")
    assert [(s.state, s.reason) for s in feed.states][:2] == [("reconnecting", reason), ("live", "")]


def test_a_wrong_token(clip: Path, server: WhipServer) -> None:
    with feeding(clip, spec(server.url, "other"), spec(server.url, None), settings=SETTINGS) as feed:
        until(lambda: len({status.id for status in feed.states}) == 2, "both are refused")
    assert {"wrong token (401)", "a token is required (401)"} <= set(feed.reasons())
    assert not any("other" in repr(status) for status in feed.states)


def test_redirects_repeat_the_offer(clip: Path, server: WhipServer) -> None:
    server.refusals = [(307, {"Location": "/elsewhere"}), (308, {"Location": "/further"})]
    with feeding(clip, spec(server.url), settings=SETTINGS) as feed:
        feed.until("live")
    posted = [path for method, path, _ in server.requests if method == "POST"]
    assert posted == ["/whip/stage", "/elsewhere", "/further"]


def test_a_busy_server_is_left_alone_as_long_as_it_asks(clip: Path, server: WhipServer) -> None:
    server.refusals = [(503, {"Retry-After": "3600"})]
    with feeding(clip, spec(server.url), settings=SETTINGS) as feed:
        feed.until("reconnecting")
        assert feed.fan_out._outputs[1]._retry_after_s == 300


def test_nobody_listens(clip: Path) -> None:
    with feeding(clip, spec(f"http://127.0.0.1:{free_port()}/whip/x"), settings=SETTINGS) as feed:
        feed.until("reconnecting")
    assert "connection refused" in feed.reasons()


@pytest.mark.slow
def test_a_server_that_vanishes_and_comes_back(clip: Path, server: WhipServer) -> None:
    with feeding(clip, spec(server.url), settings=SETTINGS.model_copy(update={"media_timeout_s": 2.0})) as feed:
        feed.until("live")
        until(lambda: server.frames, "frames")
        server.vanish()
        feed.until("live", 2)
        count = len(server.frames)
        until(lambda: len(server.frames) > count + 10, "frames again")
    assert "the server sent nothing for 2 s" in feed.reasons()


@pytest.mark.long
def test_a_server_that_hangs_up(clip: Path, server: WhipServer) -> None:
    with feeding(clip, spec(server.url), settings=SETTINGS) as feed:
        feed.until("live")
        until(lambda: server.frames, "frames")  # a server that is still connecting could not say that it closes
        server.call(server.peers["/whip/stage/1"].close("bye"))
        feed.until("live", 2)
    assert "the server closed the connection" in feed.reasons()


@pytest.mark.long
def test_pausing_ends_the_session(clip: Path, server: WhipServer) -> None:
    with feeding(clip, spec(server.url), settings=SETTINGS) as feed:
        feed.until("live")
        feed.fan_out.pause(1)
        feed.until("paused")
        assert ("DELETE", "/whip/stage/1", f"Bearer {TOKEN}") in server.requests
        feed.fan_out.resume(1)
        feed.until("live", 2)


def test_requests_that_cannot_work() -> None:
    for text, insecure, token in (
        ("http://example.org/whip", False, None),
        ("https://user:pw@example.org/whip", False, None),
        ("https://example.org/whip", False, "a\nb"),
    ):
        with pytest.raises(UsageError) as caught:
            WhipOutput.check(spec(text, token, insecure), SETTINGS)
        assert "pw" not in str(caught.value)
    for text, insecure in (("http://example.org/whip", True), ("http://127.0.0.1:1/w", False), ("https://h/w", False)):
        WhipOutput.check(spec(text, None, insecure), SETTINGS)


@pytest.mark.parametrize(("level", "offered"), [(0x0D, "1f"), (0x1F, "1f"), (0x28, "28")])
def test_the_level_that_is_sent_is_offered(level: int, offered: str) -> None:
    """At least 3.1, which some servers compare as text."""
    extradata = b"\0\0\0\1\x67\x42\xc0" + bytes([level]) + b"\xd9\0\0\0\1\x68\xce"
    assert _with_level("a=fmtp:97 profile-level-id=42e01f\r\n", extradata) == (
        f"a=fmtp:97 profile-level-id=42e0{offered}\r\n"
    )


def test_candidates_to_which_nothing_may_be_sent_are_left_out() -> None:
    addresses = ("192.0.2.1", "169.254.169.254", "127.0.0.1", "printer.local")
    lines = [f"a=candidate:1 1 udp 2130706431 {address} 9 typ host" for address in addresses]
    answer = "\r\n".join(["v=0", *lines, "a=end-of-candidates"]) + "\r\n"
    kept = with_allowed_candidates(answer, CandidatePolicy()).splitlines()
    assert kept == ["v=0", lines[0], "a=end-of-candidates"]


def test_an_answer_that_declines_the_video(clip: Path, server: WhipServer, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = server.answer

    def declining(offer: str) -> tuple[str, str]:
        path, text = answer(offer)
        return path, text.replace("a=recvonly", "a=inactive")

    monkeypatch.setattr(server, "answer", declining)
    with feeding(clip, spec(server.url), settings=SETTINGS) as feed:
        feed.until("reconnecting")
    assert "the server declined the video" in feed.reasons()
    assert ("DELETE", "/whip/stage/1", f"Bearer {TOKEN}") in server.requests
