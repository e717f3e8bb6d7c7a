"""Where the sound of a connection is on the clock of its pictures."""

import pytest

from stream.rtc.common_clock import CommonClock


def test_before_the_first_picture_sound_has_no_time() -> None:
    clock = CommonClock()
    clock.audio.arrived(0, 100.0)
    assert clock.sound_s(0) is None


def test_without_reports_what_arrives_together_belongs_together() -> None:
    clock = CommonClock()
    clock.audio.arrived(0, 100.0)
    clock.video.arrived(0, 100.5)
    clock.video.arrived(90_000, 101.4)  # the first picture was late by 0.1 s
    assert clock.sound_s(48_000) == pytest.approx(0.6)


def test_reports_correct_what_arrives_late() -> None:
    clock = CommonClock()
    clock.audio.arrived(0, 100.0)
    clock.video.arrived(0, 100.3)  # captured with that sound
    clock.audio.reported(48_000, 5001.0)
    assert clock.sound_s(0) == pytest.approx(-0.3)
    clock.video.reported(180_000, 5002.0)
    assert clock.sound_s(0) == pytest.approx(0.0)


def test_reports_that_contradict_the_arrivals_are_not_used() -> None:
    clock = CommonClock()
    clock.audio.arrived(0, 100.0)
    clock.video.arrived(0, 100.0)
    clock.audio.reported(0, 0.0)
    clock.video.reported(0, 5000.0)
    assert clock.sound_s(0) == pytest.approx(0.0)


def test_jitter_of_reports_is_smoothed_and_a_jump_is_followed() -> None:
    clock = CommonClock()
    for stream in (clock.audio, clock.video):
        stream.arrived(0, 100.0)
        stream.reported(0, 5000.0)
    clock.audio.reported(48_000, 5001.02)
    assert clock.sound_s(0) == pytest.approx(0.004)
    clock.audio.reported(96_000, 5002.4)
    assert clock.sound_s(0) == pytest.approx(0.4)


def test_a_stream_whose_timestamps_restart_is_followed() -> None:
    clock = CommonClock()
    clock.video.arrived(0, 100.0)
    clock.audio.arrived(48_000, 101.0)
    clock.audio.arrived(0, 110.0)
    assert clock.sound_s(0) == pytest.approx(10.0)
