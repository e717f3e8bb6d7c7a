import av
import pytest

from stream.errors import EncodeError
from stream.picture.frames import to_av
from stream.rtc.encoder import CLOCK, LiveEncoder, RateControl, fitting_bps
from stream.settings import Settings
from stream.sources.pattern import PatternSource

SETTINGS = Settings(hw_encode=False)
PATTERN = PatternSource(320, 240, 40, scene="room")


def picture(n: int) -> av.VideoFrame:
    frame = to_av(PATTERN.frame(n), "yuv420p")
    frame.pts = round(n / 30 / CLOCK)
    return frame


def fast_picture(n: int) -> av.VideoFrame:
    frame = to_av(PATTERN.frame(6 * n), "yuv420p")
    frame.pts = 3000 * n
    return frame


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_each_frame_is_encoded_without_delay_and_keyframes_on_request(codec: str) -> None:
    encoder = LiveEncoder(codec, 320, 240, 800_000, SETTINGS)
    keys = []
    for n in range(30):
        (packet,) = encoder.encode(picture(n), key=n == 17)
        keys.append(packet.is_keyframe)
        assert packet.pts == 3000 * n
    assert [n for n, key in enumerate(keys) if key] == [0, 17]


def test_h264_is_constrained_baseline_with_parameter_sets_in_every_keyframe() -> None:
    encoder = LiveEncoder("H264", 320, 240, 800_000, SETTINGS)
    for n, key in ((0, False), (1, True)):
        units = bytes(encoder.encode(picture(n), key)[0]).split(b"\x00\x00\x01")[1:]
        assert {unit[0] & 0x1F for unit in units} >= {5, 7, 8}
        sequence = next(unit for unit in units if unit[0] & 0x1F == 7)
        assert sequence[1] == 66
        assert sequence[2] & 0x40


def test_repeated_times_are_increased() -> None:
    encoder = LiveEncoder("H264", 320, 240, 800_000, SETTINGS)
    times = []
    for pts in (0, 3000, 3000, 2000):
        frame = picture(1)
        frame.pts = pts
        times.append(encoder.encode(frame, False)[0].pts)
    assert times == [0, 3000, 3001, 3002]


@pytest.mark.parametrize(("codec", "restarts"), [("H264", False), ("VP8", True)])
def test_the_rate_changes_in_mid_stream(codec: str, restarts: bool) -> None:
    encoder = LiveEncoder(codec, 320, 240, 1_500_000, SETTINGS)
    before = [encoder.encode(fast_picture(n), False)[0] for n in range(60)]
    encoder.change_rate(300_000)
    after = [encoder.encode(fast_picture(n), False)[0] for n in range(60, 150)]
    assert after[0].is_keyframe is restarts
    assert sum(p.size for p in after[30:]) / 60 < 0.5 * sum(p.size for p in before[30:]) / 30


def test_a_size_that_cannot_be_encoded_raises_encode_error() -> None:
    with pytest.raises(EncodeError):
        LiveEncoder("H264", 63, 47, 300_000, SETTINGS)


def test_the_best_bit_rate_grows_with_the_frame_size() -> None:
    assert 2_500_000 < fitting_bps(1280, 720, 30.0, 8_000_000) < 4_000_000
    assert fitting_bps(64, 48, 30.0, 8_000_000) == 300_000
    assert fitting_bps(3840, 2160, 30.0, 8_000_000) == 8_000_000


def test_the_bit_rate_follows_the_slowest_viewer_within_bounds() -> None:
    control = RateControl(2_000_000)
    assert not control.follow([], 10.0)
    assert control.follow([5_000_000, 1_000_000], 10.0)
    assert control.bps == 900_000
    assert not control.follow([1_100_000], 20.0), "a small change is ignored"
    assert control.follow([10_000], 20.0)
    assert control.bps == 250_000, "one viewer must not slow down all the others"
    assert not control.follow([], 21.5), "an increase waits"
    assert control.follow([], 23.5)
    assert control.bps == 2_000_000
