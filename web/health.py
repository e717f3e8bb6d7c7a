"""/livez: this process runs. /readyz: Redis answers and a worker is ready. /metrics: Prometheus, for all processes.

What workers measure reaches Redis with their heartbeats and their videos' meters; any web process can tell all of it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import mean, median
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry
from pydantic import BaseModel

from stream.errors import StoreDown
from stream.records.jobs import Job, JobState
from stream.records.live import Meters, Session, SessionState, Worker
from web.context import Here, Owner
from web.http.problems import Problem

router = APIRouter(tags=["operations"])
Kind = Literal["live", "files"]
_KINDS: tuple[Kind, ...] = ("live", "files")


class Health(BaseModel):
    status: str = "ok"


class Readiness(Health):
    """ready_for: what ready workers take. workers: those for live video; capacity: videos they can hold; sessions:
    videos they hold. file_workers: those for files."""

    ready_for: list[Kind]
    workers: int
    capacity: int
    sessions: int
    file_workers: int


@router.get("/livez")
async def alive() -> Health:
    return Health()


@router.get("/readyz")
async def ready(
    here: Here, what: Annotated[Kind | None, Query(alias="for", description="ready for this; else for any")] = None
) -> Readiness:
    """503 while nobody would take a video, of that kind if one is named; a full service is ready."""
    if not await here.store.ping():
        raise StoreDown("Redis does not answer")
    workers = [w for w in await here.store.workers() if w.state == "ready"]
    kinds = [kind for kind in _KINDS if any(w.kind == kind for w in workers)]
    if not kinds or (what and what not in kinds):
        raise Problem(503, "no_worker", f"no worker{f' for {what}' if what else ''} is ready", retry_s=2)
    live = [w for w in workers if w.kind == "live"]
    return Readiness(
        ready_for=kinds,
        workers=len(live),
        capacity=sum(w.capacity for w in live),
        sessions=sum(w.sessions for w in live),
        file_workers=len(workers) - len(live),
    )


@router.get("/metrics", response_class=Response)
async def metrics(owner: Owner, here: Here) -> Response:
    """Prometheus's text. Answers without Redis too, and says that it is down."""
    try:
        up, workers, sessions = await here.store.ping(), await here.store.workers(), await here.store.sessions()
        jobs = await here.jobs.jobs()
    except StoreDown:
        up, workers, sessions, jobs = False, [], [], []
    shared = CollectorRegistry()
    shared.register(Shared(up, workers, sessions, jobs))
    text = generate_latest(shared) + generate_latest(here.counters.registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


class Shared(Collector):
    """What the records tell at this moment."""

    def __init__(self, up: bool, workers: Sequence[Worker], sessions: Sequence[Session], jobs: Sequence[Job]) -> None:
        self._up, self._workers, self._sessions, self._jobs = up, workers, sessions, jobs
        self._meters = [s.meters for s in sessions if s.state is SessionState.LIVE and s.meters is not None]

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("mattebox_redis_up", "1 if Redis answers", value=float(self._up))
        yield from self._of_workers()
        yield _labelled(
            "mattebox_sessions", "sessions by kind and state; ended ones for ten minutes", ["kind", "state"],
            Counter((s.kind.value, s.state.value) for s in self._sessions),
        )  # fmt: skip
        yield from self._of_videos()
        jobs: Counter[tuple[str, ...]] = Counter((job.state.value,) for job in self._jobs)
        yield _labelled("mattebox_jobs", "uploaded videos by state, until they expire", ["state"], jobs)
        working = sum(job.progress.fps for job in self._jobs if job.state is JobState.RUNNING)
        yield GaugeMetricFamily("mattebox_jobs_frames_per_second", "done for uploaded videos", value=working)

    def _of_workers(self) -> Iterator[Metric]:
        live = [w for w in self._workers if w.kind == "live"]
        states: Counter[tuple[str, ...]] = Counter((w.kind, w.state) for w in self._workers)
        yield _labelled("mattebox_workers", "workers alive, by kind and state", ["kind", "state"], states)
        capacity = sum(w.capacity for w in live if w.state == "ready")
        yield GaugeMetricFamily("mattebox_capacity_sessions", "videos that ready workers can hold", value=capacity)
        for name, words, value in _OF_A_WORKER:
            family = GaugeMetricFamily(name, words, labels=["worker", "device"])
            for worker in live:
                family.add_metric([worker.id, worker.device], value(worker))
            yield family

    def _of_videos(self) -> Iterator[Metric]:
        rate = GaugeMetricFamily("mattebox_frames_per_second", "frames of all live videos", labels=["stage"])
        for stage, name in (("in", "fps_in"), ("matte", "matte_fps"), ("out", "fps_out")):
            rate.add_metric([stage], sum(getattr(m, name) for m in self._meters))
        yield rate
        yield _labelled("mattebox_frames_dropped", "frames that live videos dropped so far", ["cause"], self._drops())
        yield self._over_videos(
            "mattebox_latency_seconds", "from a frame's arrival to its packet leaving", lambda m: m.latency_ms
        )
        yield self._over_videos(
            "mattebox_glass_to_glass_seconds", "the same and the network both ways, cameras only", lambda m: m.glass_ms
        )
        yield self._stages()
        sent = sum(m.bitrate_bps for m in self._meters) / 8
        yield GaugeMetricFamily("mattebox_sent_bytes_per_second", "video that leaves", value=sent)
        viewers = sum(m.viewers for m in self._meters)
        yield GaugeMetricFamily("mattebox_viewers", "viewers of all streams", value=viewers)

    def _drops(self) -> dict[tuple[str, ...], float]:
        drops: dict[tuple[str, ...], float] = defaultdict(float)
        for meters in self._meters:
            for cause, count in meters.dropped.items():
                drops[(cause,)] += count
        return drops

    def _over_videos(self, name: str, words: str, of_ms: Callable[[Meters], float]) -> Metric:
        family = GaugeMetricFamily(name, f"{words}, over live videos", labels=["over"])
        if found := [of_ms(meters) / 1000 for meters in self._meters if of_ms(meters)]:
            family.add_metric(["median"], median(found))
            family.add_metric(["worst"], max(found))
        return family

    def _stages(self) -> Metric:
        """Seconds, not milliseconds: Prometheus's base unit."""
        family = GaugeMetricFamily("mattebox_stage_seconds", "time of a frame, mean over live videos", labels=["stage"])
        for stage in ("decode", "matte", "encode"):
            if found := [meters.stages_ms[stage] / 1000 for meters in self._meters if meters.stages_ms.get(stage)]:
                family.add_metric([stage], mean(found))
        return family


_OF_A_WORKER: tuple[tuple[str, str, Callable[[Worker], float]], ...] = (
    ("mattebox_worker_load_ratio", "a worker's load, 0-1", lambda w: w.load),
    ("mattebox_worker_memory_bytes", "resident", lambda w: w.memory_bytes),
    ("mattebox_device_memory_bytes", "of the GPU, in use by the worker", lambda w: w.device_bytes),
    ("mattebox_device_batch_frames", "frames in a call of the engine, mean", lambda w: w.batch),
    ("mattebox_device_busy_seconds", "time that the device worked", lambda w: w.busy_s),
    ("mattebox_device_wait_median_seconds", "a frame's wait for the device", lambda w: w.wait_ms / 1000),
    ("mattebox_device_wait_p95_seconds", "the same, 95th percentile", lambda w: w.late_ms / 1000),
)


def _labelled(name: str, words: str, labels: list[str], values: Mapping[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=labels)
    for key, value in values.items():
        family.add_metric(list(key), value)
    return family
