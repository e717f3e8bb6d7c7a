"""Heartbeats: what a program writes, and when silence counts."""

import asyncio
import os
from contextlib import suppress

import pytest

from stream.serve import heartbeat
from stream.serve.heartbeat import Health, Heartbeats, Silence, beating, silence_allowed_s
from stream.supervised import is_supervised
from tests.servers import asynctest


def test_silence_is_the_time_without_a_sign_of_life() -> None:
    silence = Silence(100.0)
    assert [silence.look(at_s, alive) for at_s, alive in ((101.0, False), (102.0, False), (102.5, True))] == [1, 2, 0]
    assert silence.look(104.0, False) == 1.5


@pytest.mark.parametrize("pause_s", [3.5, 3600.0])
def test_time_in_which_the_observer_did_not_run_does_not_count(pause_s: float) -> None:
    silence = Silence(100.0)
    assert silence.look(102.0, False) == 2.0
    assert silence.look(102.0 + pause_s, False) == 0.0, "it starts again"
    assert silence.look(103.0 + pause_s, False) == 1.0


@pytest.mark.parametrize(
    ("health", "silent_s", "spare_loaded", "allowed_s"),
    [
        (Health.OK, 5.0, False, 5.0),
        (Health.OK, 5.0, True, 5.0),
        (Health.STARTING, 5.0, False, 120.0),
        (Health.STARTING, 5.0, True, 10.0),
        (Health.STARTING, 15.0, True, 15.0),
        (Health.STARTING, 600.0, False, 600.0),
        (Health.STUCK, 5.0, False, 5.0),
    ],
)
def test_a_program_that_starts_may_be_silent_for_longer_unless_a_spare_is_loaded(
    health: Health, silent_s: float, spare_loaded: bool, allowed_s: float
) -> None:
    assert silence_allowed_s(health, silent_s, spare_loaded) == allowed_s


@asynctest
async def test_the_health_of_the_last_heartbeat_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL_S", 0.01)
    beats, health = Heartbeats(), Health.OK
    for name, value in beats.environment().items():
        monkeypatch.setenv(name, value)
    assert is_supervised()
    assert (beats.take(), beats.health, beats.started) == (False, Health.STARTING, False)

    async def wait_for(expected: Health) -> None:
        async with asyncio.timeout(5):
            while not (beats.take() and beats.health is expected):
                await asyncio.sleep(0.005)

    async with beating(lambda: health):
        assert not is_supervised(), "its own child processes are not"
        for health in (Health.STARTING, Health.OK, Health.STARTING, Health.STUCK):
            await wait_for(health)
            assert beats.started or health is Health.STARTING
        health = Health.OK
        await wait_for(Health.OK)
    assert (beats.take(), beats.health) == (True, Health.STARTING), "the end of the process may take a while"
    beats.handed_over()
    assert not beats.take(), "the end of the pipe is no sign of life"
    beats.close()


@asynctest
async def test_a_supervisor_that_does_not_read_blocks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    beats = Heartbeats()
    os.set_blocking(beats.write, False)
    with suppress(BlockingIOError):  # until the pipe is full
        while True:
            os.write(beats.write, b"." * 4096)
    for name, value in beats.environment().items():
        monkeypatch.setenv(name, value)
    async with beating():
        await asyncio.sleep(0)
    beats.handed_over()
    beats.close()


@asynctest
async def test_without_a_supervisor_there_are_no_heartbeats() -> None:
    assert not is_supervised()
    async with beating():
        await asyncio.sleep(0)
