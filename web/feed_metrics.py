"""The metrics of feeds for Prometheus. No label has a feed's name or an address: their number would have no limit."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from stream.records.feeds import FeedReport, FeedSummary
from stream.records.live import Worker
from stream.sinks.live.spec import State

_SOURCE_STATES = ("connecting", "live", "reconnecting", "idle")


def of_feeds(feeds: FeedSummary) -> Iterator[Metric]:
    """From what Redis has about all feeds."""
    yield _by_state("mattebox_feeds", "feeds by state", {state.value: n for state, n in feeds.states.items()})
    sources = Counter(report.source_state for report in feeds.running)
    yield _by_state("mattebox_feed_sources", "sources of running feeds", {s: sources[s] for s in _SOURCE_STATES})
    outputs = Counter(output.state for report in feeds.running for output in report.outputs)
    yield _by_state("mattebox_feed_outputs", "outputs of running feeds", {s: outputs[s] for s in get_args(State)})
    yield _latency(feeds.running)


def of_workers(workers: Sequence[Worker]) -> Iterator[Metric]:
    """What live workers have counted since their start."""
    frames = CounterMetricFamily("mattebox_feed_frames", "frames of feeds", labels=["worker", "stage"])
    dropped = CounterMetricFamily(
        "mattebox_feed_frames_dropped", "frames that feeds dropped", labels=["worker", "cause"]
    )
    reconnects = CounterMetricFamily(
        "mattebox_feed_reconnects", "lost connections made again", labels=["worker", "part"]
    )
    for worker in workers:
        frames.add_metric([worker.id, "in"], worker.feeds.frames_in)
        frames.add_metric([worker.id, "out"], worker.feeds.frames_out)
        for cause, count in worker.feeds.dropped.items():
            dropped.add_metric([worker.id, cause], count)
        for part in ("source", "output"):
            reconnects.add_metric([worker.id, part], worker.feeds.reconnects.get(part, 0))
    yield from (frames, dropped, reconnects)


def _latency(running: Sequence[FeedReport]) -> Metric:
    family = GaugeMetricFamily(
        "mattebox_feed_latency_seconds", "from a frame's arrival to its being sent, over outputs", labels=["over"]
    )
    found = [output.latency_ms / 1000 for report in running for output in report.outputs if output.latency_ms]
    if found:
        family.add_metric(["median"], median(found))
        family.add_metric(["worst"], max(found))
    return family


def _by_state(name: str, text: str, counts: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["state"])
    for state, count in counts.items():
        family.add_metric([state], count)
    return family
