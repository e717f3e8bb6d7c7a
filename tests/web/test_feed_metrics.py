"""The metrics of feeds."""

from prometheus_client import CollectorRegistry, generate_latest

from stream.records.feeds import FeedReport, FeedState, FeedSummary, OutputReport
from stream.records.jobs import JobTotals
from stream.records.live import FeedCounts, Worker
from web.health import RecordsCollector


def lines(workers: list[Worker], feeds: FeedSummary | None) -> list[str]:
    registry = CollectorRegistry()
    registry.register(RecordsCollector(True, workers, [], JobTotals(), None, feeds))
    return [line for line in generate_latest(registry).decode().splitlines() if line.startswith("mattebox_feed")]


def test_states_and_delays_of_all_feeds() -> None:
    def report(source: str, *outputs: tuple[str, float]) -> FeedReport:
        return FeedReport(
            source_state=source,
            outputs=tuple(OutputReport(id=str(n), state=s, latency_ms=ms) for n, (s, ms) in enumerate(outputs)),
        )

    running = [report("live", ("live", 40.0), ("paused", 0.0)), report("reconnecting", ("live", 60.0), ("live", 300.0))]
    found = lines([], FeedSummary(dict.fromkeys(FeedState, 2), [*running, FeedReport()]))
    for line in (
        'mattebox_feeds{state="failed"} 2.0', 'mattebox_feed_sources{state="live"} 1.0',
        'mattebox_feed_sources{state="reconnecting"} 1.0', 'mattebox_feed_sources{state="idle"} 0.0',
        'mattebox_feed_outputs{state="live"} 3.0', 'mattebox_feed_outputs{state="paused"} 1.0',
        'mattebox_feed_latency_seconds{over="median"} 0.06', 'mattebox_feed_latency_seconds{over="worst"} 0.3',
    ):  # fmt: skip
        assert line in found


def test_counters_are_those_of_the_workers() -> None:
    counts = FeedCounts(frames_in=90, frames_out=180, dropped={"late": 3}, reconnects={"source": 2, "output": 1})
    found = lines([Worker(id="w1", feeds=counts), Worker(id="w2"), Worker(id="f1", kind="files")], None)
    for line in (
        'mattebox_feed_frames_total{stage="in",worker="w1"} 90.0',
        'mattebox_feed_frames_total{stage="out",worker="w1"} 180.0',
        'mattebox_feed_frames_total{stage="in",worker="w2"} 0.0',
        'mattebox_feed_frames_dropped_total{cause="late",worker="w1"} 3.0',
        'mattebox_feed_reconnects_total{part="source",worker="w1"} 2.0',
        'mattebox_feed_reconnects_total{part="output",worker="w1"} 1.0',
    ):
        assert line in found
    assert not [line for line in found if "f1" in line or "state" in line]


def test_counts_of_feeds_add_up() -> None:
    first = FeedCounts(frames_in=1, frames_out=2, dropped={"late": 3}, reconnects={"source": 1})
    second = FeedCounts(frames_in=10, frames_out=20, dropped={"late": 1, "engine": 5}, reconnects={"output": 2})
    assert first + second == FeedCounts(
        frames_in=11, frames_out=22, dropped={"late": 4, "engine": 5}, reconnects={"source": 1, "output": 2}
    )
