"""The metrics of the product, and those that an expression of PromQL uses."""

from collections.abc import Iterator, Mapping
from typing import Any

import promql_parser
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from stream.records.feeds import FeedReport, FeedState, FeedSummary, OutputReport
from stream.records.jobs import JobState, JobTotals, TaskCounts
from stream.records.live import FeedCounts, Meters, Session, SessionKind, SessionState, Worker
from web.health import RecordsCollector
from web.http.counters import Counters

TARGET = {"namespace", "pod", "instance", "job", "service", "endpoint", "container"}
"""Labels that Prometheus adds to all metrics of a target."""

CLOSED = {"kind", "state", "stage", "over"}
"""Labels of which `metrics` has every value."""

_COUNTS = FeedCounts(dropped={"late": 1})
_METERS = Meters(latency_ms=1, glass_ms=1, stages_ms={"decode": 1, "matte": 1, "encode": 1}, dropped={"late": 1})


def metrics() -> dict[str, dict[str, set[str]]]:
    """By the name of each sample: its labels, and the values that each has here."""
    records, counters = CollectorRegistry(), Counters()
    tasks = TaskCounts(waiting=1, running=1)
    records.register(RecordsCollector(True, _workers(), _sessions(), _jobs(), tasks, _feeds()))
    counters.requests.labels("/", "GET", 200)
    counters.connections_closed.labels("idle")
    counters.offers.labels("camera", "answered")
    text = (generate_latest(records) + generate_latest(counters.registry)).decode()
    found: dict[str, dict[str, set[str]]] = {"up": {}}  # Prometheus's own, of every target
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)
    return found


def _workers() -> list[Worker]:
    states = ("ready", "draining")
    return [
        *(
            Worker(id=state, kind="live", state=state, device="cpu", failures={"dtls_failed": 1}, feeds=_COUNTS)
            for state in states
        ),
        *(Worker(id=state, kind="files", state=state) for state in states),
    ]


def _sessions() -> list[Session]:
    return [
        Session(id=f"{kind}-{state}", kind=kind, state=state, meters=_METERS)
        for kind in SessionKind
        for state in SessionState
    ]


def _feeds() -> FeedSummary:
    output = OutputReport(id="1", state="live", latency_ms=1)
    return FeedSummary(dict.fromkeys(FeedState, 1), [FeedReport(source_state="live", outputs=(output,))])


def _jobs() -> JobTotals:
    return JobTotals(dict.fromkeys(JobState, 1), 1.0)


def selectors(expression: str) -> list[Any]:
    """The vector selectors of an expression. Raises ValueError if it is not PromQL."""
    nodes = list(_nodes(promql_parser.parse(expression)))
    ranges = [node.vector_selector for node in nodes if isinstance(node, promql_parser.MatrixSelector)]
    return ranges + [node for node in nodes if isinstance(node, promql_parser.VectorSelector)]


def groupings(expression: str) -> set[str]:
    """The labels that `by`, `without`, `on`, `ignoring` and `group_left` name."""
    found: set[str] = set()
    for node in _nodes(promql_parser.parse(expression)):
        modifier = getattr(node, "modifier", None)
        for holder in (modifier, getattr(modifier, "matching", None)):
            found |= set(getattr(holder, "labels", None) or ())
    return found


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    children = [getattr(node, name, None) for name in ("expr", "lhs", "rhs", "param")] + list(getattr(node, "args", ()))
    for child in children:
        if isinstance(child, promql_parser.Expr):
            yield from _nodes(child)


def unknown(expression: str, known: Mapping[str, Mapping[str, set[str]]]) -> list[str]:
    """What an expression names that the product does not have: metrics, labels, and values of labels. known: `metrics`.

    Raises ValueError if it is not PromQL.
    """
    found: list[str] = []
    available: set[str] = set(TARGET)
    for selector in selectors(expression):
        labels = known.get(selector.name)
        if labels is None:
            found.append(selector.name)
            continue
        available |= set(labels)
        for matcher in selector.matchers.matchers:
            if matcher.name not in labels and matcher.name not in TARGET:
                found.append(f"{selector.name}{{{matcher.name}}}")
            elif matcher.name in CLOSED:
                values = set(matcher.value.split("|")) - labels[matcher.name]
                found += [f"{selector.name}{{{matcher.name}={value}}}" for value in sorted(values)]
    return found + sorted(groupings(expression) - available)
