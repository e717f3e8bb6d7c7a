"""/livez: this process runs. /readyz: Redis accepts writes and a worker is ready. /metrics: for all processes.

Workers write their measurements to Redis with their heartbeats and meters, so any web process can report all of them.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import mean, median
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry
from pydantic import BaseModel

from stream.errors import StoreDown
from stream.records.feeds import FeedSummary
from stream.records.jobs import JobTotals, TaskCounts
from stream.records.live import NO_WORKER, Meters, Session, SessionState, Worker
from web import feed_metrics
from web.context import Here, Owner
from web.http import openapi
from web.http.problems import Problem

router = APIRouter(tags=["operations"])
_METRICS: dict[int | str, dict[str, Any]] = {200: openapi.answer("The metrics.", openapi.text("text/plain"))}
Kind = Literal["live", "files"]
_KINDS: tuple[Kind, ...] = ("live", "files")


class Health(BaseModel):
    status: str = "ok"


class Readiness(Health):
    """ready_for: kinds of work that ready workers take. workers: ready workers for live video; capacity: live videos
    that they can run; sessions: live videos that they run. file_workers: ready workers for files."""

    ready_for: list[Kind]
    workers: int
    capacity: int
    sessions: int
    file_workers: int


@router.get("/livez", operation_id="get_liveness", summary="Whether this process runs")
async def alive() -> Health:
    return Health()


@router.get("/readyz", operation_id="get_readiness", summary="Whether a worker is ready")
async def ready(
    here: Here,
    required: Annotated[Kind | None, Query(alias="for", description="kind of worker to check; default: any")] = None,
) -> Readiness:
    """503 while no worker is ready (for this kind, if one is given). A service at capacity is still ready."""
    if not await here.store.ping():
        raise StoreDown("Redis does not answer or refuses writes")
    workers = [w for w in await here.store.workers() if w.state == "ready"]
    kinds = [kind for kind in _KINDS if any(w.kind == kind for w in workers)]
    if not kinds or (required and required not in kinds):
        raise Problem(503, NO_WORKER, f"no worker{f' for {required}' if required else ''} is ready", retry_s=2)
    live = [w for w in workers if w.kind == "live"]
    return Readiness(
        ready_for=kinds,
        workers=len(live),
        capacity=sum(w.capacity for w in live),
        sessions=sum(w.sessions for w in live),
        file_workers=len(workers) - len(live),
    )


@router.get(
    "/metrics", response_class=Response, responses=_METRICS,
    operation_id="get_metrics", summary="Metrics for Prometheus",
)  # fmt: skip
async def metrics(owner: Owner, here: Here) -> Response:
    """Metrics in Prometheus's text format. Without Redis, `mattebox_redis_up` is 0."""
    try:
        up, workers, sessions = await here.store.ping(), await here.store.workers(), await here.store.sessions()
        jobs, tasks, feeds = await here.jobs.totals(), await here.jobs.tasks(), await here.feeds.summary()
    except StoreDown:
        up, workers, sessions, jobs, tasks, feeds = False, [], [], JobTotals(), None, None
    records = CollectorRegistry()
    records.register(RecordsCollector(up, workers, sessions, jobs, tasks, feeds))
    text = generate_latest(records) + generate_latest(here.counters.registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


class RecordsCollector(Collector):
    """Metrics of all processes, computed from the records in Redis. tasks, feeds: None if they are unknown, which is
    not 0: an autoscaler would stop all workers."""

    def __init__(
        self,
        up: bool,
        workers: Sequence[Worker],
        sessions: Sequence[Session],
        jobs: JobTotals,
        tasks: TaskCounts | None = None,
        feeds: FeedSummary | None = None,
    ) -> None:
        self._up, self._workers, self._sessions, self._jobs, self._tasks = up, workers, sessions, jobs, tasks
        self._feeds = feeds
        self._meters = [s.meters for s in sessions if s.state is SessionState.LIVE and s.meters is not None]

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("mattebox_redis_up", "1 if Redis answers and accepts writes", value=float(self._up))
        yield from self._of_workers()
        yield _labelled(
            "mattebox_sessions", "sessions by kind and state; ended ones for ten minutes", ["kind", "state"],
            Counter((s.kind.value, s.state.value) for s in self._sessions),
        )  # fmt: skip
        yield from self._of_videos()
        if self._feeds is not None:
            yield from feed_metrics.of_feeds(self._feeds)
        yield from feed_metrics.of_workers([worker for worker in self._workers if worker.kind == "live"])
        jobs: dict[tuple[str, ...], float] = {(state.value,): count for state, count in self._jobs.states.items()}
        yield _labelled("mattebox_jobs", "uploaded videos by state, until they expire", ["state"], jobs)
        counts = {} if self._tasks is None else asdict(self._tasks)
        yield _labelled(
            "mattebox_tasks", "tasks of uploaded videos that wait for a file worker or run", ["state"],
            {(state,): count for state, count in counts.items()},
        )  # fmt: skip
        yield GaugeMetricFamily("mattebox_jobs_frames_per_second", "frames of uploaded videos", value=self._jobs.fps)

    def _of_workers(self) -> Iterator[Metric]:
        live = [w for w in self._workers if w.kind == "live"]
        states: Counter[tuple[str, ...]] = Counter((w.kind, w.state) for w in self._workers)
        yield _labelled("mattebox_workers", "workers alive, by kind and state", ["kind", "state"], states)
        capacity = sum(w.capacity for w in live if w.state == "ready")
        yield GaugeMetricFamily("mattebox_capacity_sessions", "live videos that ready workers can run", value=capacity)
        failed = CounterMetricFamily(
            "mattebox_sessions_failed", "live sessions that failed, by reason", labels=["worker", "reason"]
        )
        for worker in live:
            for reason, count in worker.failures.items():
                failed.add_metric([worker.id, reason], count)
        yield failed
        for name, text, value in _WORKER_GAUGES:
            family = GaugeMetricFamily(name, text, labels=["worker", "device"])
            for worker in live:
                family.add_metric([worker.id, worker.device], value(worker))
            yield family

    def _of_videos(self) -> Iterator[Metric]:
        rate = GaugeMetricFamily("mattebox_frames_per_second", "frames of all live videos", labels=["stage"])
        for stage, name in (("in", "fps_in"), ("matte", "matte_fps"), ("out", "fps_out")):
            rate.add_metric([stage], sum(getattr(m, name) for m in self._meters))
        yield rate
        yield _labelled("mattebox_frames_dropped", "frames dropped by running live videos", ["cause"], self._drops())
        yield self._over_videos(
            "mattebox_latency_seconds", "from a frame's arrival to sending its packet", lambda m: m.latency_ms
        )
        yield self._over_videos(
            "mattebox_glass_to_glass_seconds",
            "latency plus the network in both directions, cameras only",
            lambda m: m.glass_ms,
        )
        yield self._stages()
        sent = sum(m.bitrate_bps for m in self._meters) / 8
        yield GaugeMetricFamily("mattebox_sent_bytes_per_second", "video sent", value=sent)
        viewers = sum(m.viewers for m in self._meters)
        yield GaugeMetricFamily("mattebox_viewers", "viewers of all streams", value=viewers)

    def _drops(self) -> dict[tuple[str, ...], float]:
        drops: dict[tuple[str, ...], float] = defaultdict(float)
        for meters in self._meters:
            for cause, count in meters.dropped.items():
                drops[(cause,)] += count
        return drops

    def _over_videos(self, name: str, text: str, of_ms: Callable[[Meters], float]) -> Metric:
        """The median and the worst of a time in milliseconds, over all live videos that have it; in seconds."""
        family = GaugeMetricFamily(name, f"{text}, over live videos", labels=["over"])
        if found := [of_ms(meters) / 1000 for meters in self._meters if of_ms(meters)]:
            family.add_metric(["median"], median(found))
            family.add_metric(["worst"], max(found))
        return family

    def _stages(self) -> Metric:
        """In seconds, Prometheus's base unit."""
        family = GaugeMetricFamily("mattebox_stage_seconds", "time per frame, mean over live videos", labels=["stage"])
        for stage in ("decode", "matte", "encode"):
            if found := [meters.stages_ms[stage] / 1000 for meters in self._meters if meters.stages_ms.get(stage)]:
                family.add_metric([stage], mean(found))
        return family


_WORKER_GAUGES: tuple[tuple[str, str, Callable[[Worker], float]], ...] = (
    ("mattebox_worker_load_ratio", "a worker's load, 0-1", lambda w: w.load),
    ("mattebox_worker_memory_bytes", "resident memory of the worker", lambda w: w.memory_bytes),
    ("mattebox_device_memory_bytes", "GPU memory in use by the worker", lambda w: w.device_bytes),
    ("mattebox_device_batch_frames", "frames per engine call, mean", lambda w: w.batch),
    ("mattebox_device_busy_seconds", "time that the device was busy", lambda w: w.busy_s),
    ("mattebox_device_wait_median_seconds", "a frame's wait for the device, median", lambda w: w.wait_ms / 1000),
    ("mattebox_device_wait_p95_seconds", "a frame's wait for the device, 95th percentile", lambda w: w.late_ms / 1000),
)


def _labelled(name: str, text: str, labels: list[str], values: Mapping[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(list(key), value)
    return family
