"""Transit of picture and sound compared, from sender reports as clients send them."""

import pytest

from stream.rtc.capture import CaptureClock

SENT_S, OURS_S = 3_900_000_000.0, 100.0  # the client's clock and ours when its first frame was captured


def feed(clock: CaptureClock, seconds: range, video_s: float, audio_s: float, audio_clock_s: float = 0.0) -> None:
    """A report and a second of media, for each second. video_s, audio_s: transit."""
    for second in seconds:
        clock.video.reported(90_000 * second, SENT_S + second)
        clock.audio.reported(48_000 * second, SENT_S + second + audio_clock_s)
        for n in range(30):
            clock.video.arrived(90_000 * second + 3000 * n, OURS_S + second + n / 30 + video_s)
        for n in range(50):
            clock.audio.arrived(48_000 * second + 960 * n, OURS_S + second + n / 50 + audio_s)


@pytest.mark.parametrize(("video_s", "audio_s"), [(0.08, 0.03), (0.03, 0.08), (0.05, 0.05)])
def test_the_difference_of_transit(video_s: float, audio_s: float) -> None:
    clock = CaptureClock()
    feed(clock, range(10), video_s, audio_s)
    assert clock.skew_s == pytest.approx(video_s - audio_s, abs=1e-6)


def test_a_changed_network_is_followed() -> None:
    clock = CaptureClock()
    feed(clock, range(5), 0.05, 0.05)
    feed(clock, range(5, 15), 0.15, 0.05)
    assert clock.skew_s == pytest.approx(0.1, abs=1e-3)


def test_unknown_until_both_have_reported() -> None:
    clock = CaptureClock()
    clock.video.reported(0, SENT_S)
    clock.video.arrived(0, OURS_S)
    clock.audio.arrived(0, OURS_S)
    assert clock.skew_s == 0


def test_clocks_that_differ_are_ignored() -> None:
    clock = CaptureClock()
    feed(clock, range(5), 0.05, 0.05, audio_clock_s=7.0)
    assert clock.skew_s == 0


def test_timestamps_that_stood_still_wait_for_the_next_report() -> None:
    """Chromium's audio timestamps stand still while its microphone is off, and its last report is from before."""
    clock = CaptureClock()
    feed(clock, range(5), 0.08, 0.03)
    for n in range(50):
        clock.audio.arrived(48_000 * 5 + 960 * n, OURS_S + 20 + n / 50 + 0.03)
    assert clock.skew_s == pytest.approx(0.05, abs=1e-6)
    clock.audio.reported(48_000 * 6, SENT_S + 21)
    for n in range(50):
        clock.audio.arrived(48_000 * 6 + 960 * n, OURS_S + 21 + n / 50 + 0.03)
    assert clock.skew_s == pytest.approx(0.05, abs=1e-3)
