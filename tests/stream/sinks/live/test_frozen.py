"""One of four outputs freezes: the others lose no frame and gain no delay, and it comes back by itself."""

import statistics
from pathlib import Path

import pytest

from stream.settings import Settings
from tests.feeding import RATE, Receiver, feeding, missing
from tests.rtmp import RtmpServer
from tests.servers import free_port
from tests.stream.sinks.live.test_push import States, fan_out
from tests.waiting import PATIENCE_S, until

FROZEN_S = 20
SETTINGS = Settings(hw_encode=False, rtsp_retry_s=1, output_timeout_s=3)


@pytest.mark.slow
@pytest.mark.alone
def test_a_frozen_output_costs_the_others_nothing(tmp_path: Path) -> None:
    states = States()
    healthy, frozen = RtmpServer(tmp_path / "healthy"), RtmpServer(tmp_path / "frozen")
    address = f"127.0.0.1:{free_port()}"
    listener = Receiver(f"rtsp://{address}/x", rtsp_flags="listen", listen_timeout=str(round(PATIENCE_S)))
    file = tmp_path / "out.mp4"
    try:
        sink = fan_out(
            states,
            healthy.url("x"),
            f"rtsp://{address}/x",
            str(file),
            frozen.url("x"),
            settings=SETTINGS,
            bitrate=8_000_000,
        )
        with feeding(sink, noisy=True) as feed:
            until(lambda: [status.state for status in sink.outputs()] == ["live"] * 4)
            player = Receiver(healthy.url("x"))
            until(lambda: len(player.numbers) > 3 * RATE and len(listener.numbers) > 3 * RATE)
            before = feed.next
            frozen.freeze()
            until(lambda: sink.outputs()[3].state == "reconnecting")
            until(lambda: feed.next > before + FROZEN_S * RATE)
            during = feed.next
            frozen.thaw()
            until(lambda: sink.outputs()[3].state == "live")
            number = sink.outputs()[3].frames
            until(lambda: sink.outputs()[3].frames > number + RATE)
            until(lambda: feed.next > during + 2 * RATE)
        statuses = sink.outputs()
    finally:
        for server in (healthy, frozen):
            server.thaw()
            server.kill()
    assert [status.dropped for status in statuses[:3]] == [0, 0, 0]
    assert statuses[3].dropped > 0
    assert numbers_in(file) == list(range(feed.next))
    listener.wait(PATIENCE_S)
    for receiver in (listener, player):
        assert not missing(receiver.numbers)
        delays = {n: at - feed.written_s[n] for n, at in zip(receiver.numbers, receiver.arrived_s, strict=True)}
        calm = statistics.median(delay for n, delay in delays.items() if before - 2 * RATE < n < before)
        busy = statistics.median(delay for n, delay in delays.items() if before <= n < during)
        assert busy < calm + 0.05, (calm, busy)


def numbers_in(path: Path) -> list[int]:
    receiver = Receiver(str(path))
    receiver.wait(PATIENCE_S)
    return receiver.numbers
