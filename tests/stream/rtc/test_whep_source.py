"""A WHEP server as a live source: pictures, sound, refusals, interruptions. The server is Mattebox's sending side."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from stream.address import Address
from stream.errors import NoVideoStream, UsageError
from stream.picture.colour import rgb_to_i420
from stream.picture.frames import Frame, Sound, split_i420
from stream.settings import Settings
from stream.sources import is_live, open_live_source, source_address
from stream.sources.base import SourceOptions, SourceState
from tests.colours import chart
from tests.flashes import beeps_s, flashes_s, make_clip, offsets_s
from tests.media import write_video
from tests.tls_front import TlsFront, make_certificate
from tests.waiting import until
from tests.whep_server import WhepServer, whep_server
from tests.whip_server import TOKEN

SETTINGS = Settings(
    loopback_candidates=True, udp_address="127.0.0.1", hw_encode=False, rtsp_retry_s=0.3, rtsp_timeout_s=3.0,
    slate_after_s=0.3, allow_private_urls=True,
)  # fmt: skip


class Watching:
    """A source that is read in a thread, as the pump does it; frames, sound and states are kept."""

    def __init__(self, url: str, settings: Settings = SETTINGS, **options: object) -> None:
        self.states: list[SourceState] = []
        self.frames: list[Frame] = []
        self.sound: list[Sound] = []
        requested = SourceOptions(on_state=self.states.append, **{"token": TOKEN} | options)  # type: ignore[arg-type]
        self.source = open_live_source(source_address(f"whep+{url}"), requested, settings)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        with suppress(NoVideoStream):  # it was closed before its first picture
            for item in self.source:
                if isinstance(item, Frame):
                    self.frames.append(item)
                else:
                    self.sound.append(item)

    @property
    def pictures(self) -> list[Frame]:
        return [frame for frame in self.frames if not frame.slate]

    def close(self) -> None:
        self.source.close()
        self._thread.join(10)
        assert not self._thread.is_alive()


@contextmanager
def watching(url: str, settings: Settings = SETTINGS, **options: object) -> Iterator[Watching]:
    watched = Watching(url, settings, **options)
    try:
        yield watched
    finally:
        watched.close()


def peaks(sound: list[Sound]) -> list[tuple[float, float]]:
    """Time and highest level of each packet."""
    decoded = [(float((p.pts or 0) * (p.time_base or 0)), frame) for p in sound for frame in p.decode()]
    return [(time_s, float(np.abs(frame.to_ndarray()).max())) for time_s, frame in decoded]


@pytest.fixture(scope="module")
def flashing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("whep") / "clip.mkv", 4.0, codec="libopus")


@pytest.fixture
def server(flashing: Path) -> Iterator[WhepServer]:
    with whep_server(flashing) as running:
        yield running


@pytest.mark.slow  # these run one at a time, without other load
def test_pictures_and_sound_arrive_in_step_and_the_session_is_deleted(server: WhepServer) -> None:
    with watching(server.url) as seen:
        until(lambda: len(seen.pictures) > 110 and len(seen.sound) > 200, f"pictures and sound, {seen.states}")
    assert seen.states == [SourceState("live")]
    assert [method for method, _, _ in server.requests] == ["OPTIONS", "POST", "DELETE"]
    assert {token for _, _, token in server.requests} == {f"Bearer {TOKEN}"}
    assert "a=recvonly" in server.offers[0]
    assert "profile-level-id=42e034" in server.offers[0], "larger pictures than 1280x720 may be sent"
    info = seen.source.info
    assert (info.width, info.height) == (320, 240)
    assert [stream.codec_context.name for stream in info.sound] == ["opus"]
    steps = [(b.pts or 0) - (a.pts or 0) for a, b in zip(seen.sound, seen.sound[1:], strict=False)]
    corrected = [step for step in steps if step != 960]  # packets of 20 ms; the first reports may move the sound
    assert len(corrected) <= 3, steps
    assert not corrected or max(corrected) < 9600, steps
    luma = [(frame.time_s, float(split_i420(frame.pixels)[0].mean())) for frame in seen.pictures]
    offsets = offsets_s(flashes_s(luma), beeps_s(peaks(seen.sound)))
    assert len(offsets) >= 3
    assert abs(np.median(offsets)) < 0.04, offsets


@pytest.mark.long
@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_colours_are_right(tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.rtc.peer._PREFERRED", (codec,))
    clip = write_video(tmp_path / "chart.mkv", [chart(256, 128)] * 60, options={"crf": "8"})
    with whep_server(clip) as server, watching(server.url) as seen:
        until(lambda: len(seen.pictures) > 30, f"pictures, {seen.states}")
        assert server.output.codecs == {codec}
    centres = [(row * 32 + 16, column * 32 + 16) for row in range(4) for column in range(8)]
    planes = zip(split_i420(seen.pictures[30].pixels), split_i420(rgb_to_i420(chart(256, 128))), strict=True)
    for number, (got, sent) in enumerate(planes):
        scale = 2 if number else 1
        errors = [abs(int(got[y // scale, x // scale]) - int(sent[y // scale, x // scale])) for y, x in centres]
        assert np.mean(errors) < 3, (number, errors)


@pytest.mark.long
def test_lost_packets_are_repaired(server: WhepServer) -> None:
    """One in thirty is lost. The pictures are uniform, and so would not be after a packet that is missing."""
    server.loses = 30
    with watching(server.url) as seen:
        until(lambda: seen.pictures, f"a picture, {seen.states}")
        before = len(server.sent)
        until(lambda: len(seen.pictures) > 100, f"pictures, {seen.states}")
        assert len(seen.pictures) > 0.8 * (len(server.sent) - before), (before, len(server.sent))
    assert server.lost > 3
    assert seen.states == [SourceState("live")]
    spread = [float(split_i420(frame.pixels)[0].std()) for frame in seen.pictures]
    assert max(spread) < 4, max(spread)


@pytest.mark.long
def test_a_server_that_declines_the_sound(server: WhepServer) -> None:
    server.declines_sound = True
    with watching(server.url) as seen:
        until(lambda: len(seen.pictures) > 10, f"pictures, {seen.states}")
        assert seen.source.info.sound == ()
    assert ["m=audio" in offer for offer in server.offers] == [True, False]
    assert [method for method, _, _ in server.requests].count("DELETE") == 2


@pytest.mark.long
@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        ((401, {}), "wrong token (401)"),
        ((403, {}), "wrong token (403)"),
        ((404, {"Retry-After": "3"}), "nothing is published there yet (404)"),
        ((405, {}), "this is no WHEP address (405)"),
        ((503, {"Retry-After": "2"}), "the server is busy (503)"),
        ((200, {}), "the server's answer cannot be read"),
        ((308, {"Location": "ftp://127.0.0.1/x"}), "the server redirects to an address that is not allowed"),
    ],
)
def test_a_refusal_is_explained_and_retried(
    server: WhepServer, refusal: tuple[int, dict[str, str]], reason: str
) -> None:
    server.refusals = [refusal]
    with watching(server.url) as seen:
        until(lambda: seen.pictures, f"pictures, {seen.states}")
    assert seen.states == [SourceState("reconnecting", reason), SourceState("live")]
    assert any(frame.slate for frame in seen.frames)


def test_a_missing_token_is_explained(server: WhepServer) -> None:
    with watching(server.url, token=None) as seen:
        until(lambda: seen.states, "a state")
    assert seen.states == [SourceState("reconnecting", "a token is required (401)")]


@pytest.mark.long
def test_a_server_that_vanishes_is_replaced_by_slates_and_found_again(server: WhepServer) -> None:
    settings = SETTINGS.model_copy(update={"rtsp_timeout_s": 1.0})
    with watching(server.url, settings) as seen:
        until(lambda: len(seen.pictures) > 10, f"pictures, {seen.states}")
        before = len(seen.frames)
        server.vanish()
        until(lambda: SourceState("live") in seen.states[1:], f"another connection, {seen.states}")
        until(lambda: not seen.frames[-1].slate, "pictures again")
        assert any(frame.slate for frame in seen.frames[before:])
    assert seen.states[1] == SourceState("reconnecting", "the source sent no picture for 1 s")
    times = [frame.time_s for frame in seen.frames]
    assert times == sorted(times)


@pytest.mark.long
def test_a_session_that_the_server_ends(server: WhepServer) -> None:
    with watching(server.url) as seen:
        until(lambda: len(seen.pictures) > 10, f"pictures, {seen.states}")
        server.call(server.peers["/whep/stage/1"].close("ended"))
        until(lambda: SourceState("live") in seen.states[1:], f"another connection, {seen.states}")
    assert seen.states[1] == SourceState("reconnecting", "the server closed the connection")


@pytest.mark.long
def test_certificates_are_verified(server: WhepServer, tmp_path: Path) -> None:
    pem, authority = make_certificate(tmp_path)
    front = TlsFront(pem, server.server_port)
    url = f"https://127.0.0.1:{front.port}/whep/stage"
    with watching(url) as seen:
        until(lambda: seen.states, "a state")
    assert seen.states[0].name == "reconnecting"
    assert seen.states[0].reason.startswith("its certificate is not trusted (")
    for trusting in ({"insecure": True}, {"settings": SETTINGS.model_copy(update={"ca_file": authority})}):
        with watching(url, **trusting) as seen:
            until(lambda seen=seen: seen.pictures, f"pictures, {seen.states}")  # type: ignore[misc]
    front.close()


def test_a_server_that_cannot_be_reached() -> None:
    with watching("http://127.0.0.1:9") as seen:
        until(lambda: seen.states, "a state")
    assert seen.states == [SourceState("reconnecting", "connection refused")]


def test_addresses_of_users_are_checked(server: WhepServer) -> None:
    """proxy: as the worker of a feed opens sources."""
    strict = SETTINGS.model_copy(update={"allow_private_urls": False})
    with watching(server.url, strict, proxy="http://127.0.0.1:1") as seen:
        until(lambda: seen.states, "a state")
    assert seen.states == [SourceState("reconnecting", "the server's address is not allowed")]
    assert not server.requests


@pytest.mark.parametrize(
    ("address", "options", "error"),
    [
        ("whep+https://ann:hush@127.0.0.1/whep/stage", {}, "WHEP has no users"),
        ("whep+http://192.0.2.1/whep/stage", {"token": "hush"}, "not encrypted"),
        ("whep+https://127.0.0.1/whep/stage", {"token": "hu sh"}, "invalid characters"),
        ("whep+https:stage", {}, "write the address as"),
    ],
)
def test_an_address_that_cannot_work_is_refused(address: str, options: dict[str, str], error: str) -> None:
    parsed = Address.read(address, ["whep+https"])
    assert is_live(parsed)
    with pytest.raises(UsageError, match=error) as refused:
        open_live_source(parsed, SourceOptions(**options), SETTINGS)  # type: ignore[arg-type]
    assert "hush" not in str(refused.value)
