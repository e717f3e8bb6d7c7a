"""A Ray cluster as the nodes of a batch: only this file and `ray_connection.py` know Ray.

Each node is an actor, so that its engine stays loaded from one call to the next. Ray places actors by their processors
and shares of GPUs. An actor that dies is not restarted by Ray, because there may be no room for it elsewhere: its call
goes to another actor, and a new one is requested as long as the cluster has room, or an autoscaler makes some.

Calls and outcomes are JSON text; videos and results never pass through Ray.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from stream.errors import MatteboxError, ServerError
from stream.signals import postponed
from workers.batch.actor import Actor
from workers.batch.calls import Call, Failed, read_outcome
from workers.batch.ray_connection import connected, first_line
from workers.batch.run import Ended

_SCALE_S = 5.0  # how often the cluster's size and the progress are read
_STUCK_S = 600.0  # a call without a sign of progress for so long hangs; as for file jobs
_END_S = 10.0  # for calls that were asked to end
_START_TRIES = 3  # actors in a row that die before they are ready
_NO_ROOM_S = 30.0


@dataclass(frozen=True)
class Shape:
    """The actors. count: how many; 0: as many as fit into the cluster. cpus, gpus: what each needs."""

    count: int = 0
    cpus: int = 1
    gpus: float = 0.0

    def fitting(self, nodes: list[dict[str, Any]]) -> int:
        """How many to keep. nodes: as returned by `ray.nodes()`. At least 1, so that an autoscaler has a reason."""
        return self.count or max(1, sum(self._fitting(node.get("Resources", {})) for node in nodes if node["Alive"]))

    def _fitting(self, resources: dict[str, float]) -> int:
        by_cpu = int(resources.get("CPU", 0) // self.cpus)
        return min(by_cpu, int(resources.get("GPU", 0) / self.gpus + 1e-6)) if self.gpus else by_cpu


@dataclass
class _Seat:
    """An actor. pending: the reference that Ray resolves when its call ends, or, before the first, when it is ready.
    node_id: "" until it is ready. asked: the reference of the unanswered question about its progress."""

    actor: Any
    pending: Any
    node_id: str = ""
    call: Call | None = None
    asked: Any = None
    beats: int = -1
    changed_s: float = 0.0
    frames: int = 0


class RayCluster:
    """address: that of a running cluster, `auto`, or `local`. results: the address of their place. shared: settings
    that are the same on all nodes. say: called with messages for the user.

    Raises UsageError if Ray is not installed, or there is no cluster.
    """

    def __init__(
        self, address: str, shape: Shape, results: str, shared: dict[str, Any], say: Callable[[str], None]
    ) -> None:
        self._connection = ExitStack()
        self._ray = self._connection.enter_context(connected(address))
        self._shape, self._say = shape, say
        self._arguments = (results, shared | {"threads": shape.cpus}, bool(shape.gpus))
        self._class = self._ray.remote(
            num_cpus=shape.cpus, num_gpus=shape.gpus, max_restarts=0, max_concurrency=2
        )(_RayActor)  # fmt: skip
        self._seats: list[_Seat] = []
        self._wanted = self._ready = 0  # numbers of actors
        self._deaths = 0  # of actors in a row that were never ready
        self._scaled_s = -_SCALE_S
        self._waiting_s = time.monotonic()

    @property
    def idle(self) -> int:
        return sum(seat.pending is None for seat in self._seats)

    @property
    def frames(self) -> int:
        return sum(seat.frames for seat in self._seats if seat.call)

    def start(self, call: Call) -> None:
        seat = next(seat for seat in self._seats if seat.pending is None)
        with postponed():  # pydantic turns an interruption into an error of its own
            seat.call, seat.frames, seat.changed_s = call, 0, time.monotonic()
            seat.pending = seat.actor.run.remote(call.model_dump_json())

    def wait(self, timeout_s: float) -> list[Ended]:
        with postponed():
            self._look_around()
        self._report_ready()
        pending = {seat.pending: seat for seat in self._seats if seat.pending is not None}
        if not pending:
            time.sleep(timeout_s)
            return []
        ready, _ = self._ray.wait(list(pending), timeout=timeout_s)
        if ready:
            ready, _ = self._ray.wait(list(pending), num_returns=len(pending), timeout=0)
        with postponed():
            return [ended for reference in ready for ended in self._settle(pending[reference])]

    def _settle(self, seat: _Seat) -> Iterator[Ended]:
        """The end of a seat's call; nothing if the actor has just become ready."""
        reference, call = seat.pending, seat.call
        seat.pending = seat.call = None
        try:
            text = self._ray.get(reference)
        except self._ray.exceptions.RayActorError as exc:
            yield from self._died(seat, call, exc)
        except self._ray.exceptions.RayError as exc:
            if call is None:
                raise ServerError(f"a node cannot run mattebox: {first_line(exc)}") from None
            yield Ended(call, Failed(code=MatteboxError.code, message=first_line(exc), retry=True))
        else:
            if call is not None:
                yield Ended(call, read_outcome(text))
                return
            self._deaths = 0
            seat.node_id, fault = text
            if fault:
                raise ServerError(fault)

    def _died(self, seat: _Seat, call: Call | None, exc: Exception) -> Iterator[Ended]:
        self._release(seat)
        crashed = self._is_crash(seat.node_id, exc)
        if call is not None:
            self._say(f"{call.film.address}: {'a process crashed' if crashed else 'a node was lost'}; trying again")
            yield Ended(call, None, crashed)
            return
        self._deaths += 1
        if self._deaths >= _START_TRIES:
            raise ServerError(f"a node cannot run mattebox: {first_line(exc)}") from None

    def _is_crash(self, node_id: str, exc: Exception) -> bool:
        """Whether only the process died, not its node. Unavailable: Ray has lost the connection, and the node did not
        report a crash within a second."""
        if isinstance(exc, self._ray.exceptions.ActorUnavailableError) or getattr(exc, "preempted", False):
            return False
        if "node has died" in str(exc) or "node died" in str(exc):
            return False
        return any(node["NodeID"] == node_id and node["Alive"] for node in self._ray.nodes())

    def _release(self, seat: _Seat) -> None:
        self._seats.remove(seat)
        with suppress(Exception):  # it is dead already
            self._ray.kill(seat.actor)

    # Every few seconds.

    def _look_around(self) -> None:
        now_s = time.monotonic()
        if now_s - self._scaled_s < _SCALE_S:
            return
        self._scaled_s = now_s
        self._wanted = self._shape.fitting(self._ray.nodes())
        for _ in range(self._wanted - len(self._seats)):
            actor = self._class.remote(*self._arguments)
            self._seats.append(_Seat(actor, actor.ready.remote()))
        for seat in [seat for seat in self._seats if seat.call]:
            self._ask(seat, now_s)

    def _report_ready(self) -> None:
        """Report changes of the number of ready actors, and that none can start."""
        ready, now_s = sum(bool(seat.node_id) for seat in self._seats), time.monotonic()
        if ready != self._ready:
            self._ready, self._waiting_s = ready, now_s
            self._say(f"{ready} of {self._wanted} actors are ready")
        elif not ready and now_s - self._waiting_s > _NO_ROOM_S:
            self._waiting_s = now_s
            gpus = f" and {self._shape.gpus:g} GPUs" if self._shape.gpus else ""
            self._say(f"waiting for a node of the cluster with {self._shape.cpus} free CPUs{gpus}")

    def _ask(self, seat: _Seat, now_s: float) -> None:
        """Read the progress of a seat's call. An actor that hangs is killed; `wait` then reports its end."""
        if seat.asked is None:
            seat.asked = seat.actor.progress.remote()
        elif self._ray.wait([seat.asked], timeout=0)[0]:
            reference, seat.asked = seat.asked, None
            with suppress(self._ray.exceptions.RayError):  # `wait` reports it
                beats, seat.frames = self._ray.get(reference)
                if beats != seat.beats:
                    seat.beats, seat.changed_s = beats, now_s
        if now_s - seat.changed_s > _STUCK_S:
            self._ray.kill(seat.actor)

    # The end.

    def close(self) -> None:
        try:
            self._end_calls()
        finally:
            for seat in list(self._seats):
                self._release(seat)
            self._connection.close()

    def _end_calls(self) -> None:
        """Ask running calls to end, so that actors remove their temporary files."""
        ready = [seat for seat in self._seats if seat.node_id]
        for seat in ready:
            seat.actor.stop.remote()
        for pending in (
            [seat.pending for seat in ready if seat.call],
            [seat.actor.close.remote() for seat in ready],
        ):
            if pending:
                self._ray.wait(pending, num_returns=len(pending), timeout=_END_S)


class _RayActor(Actor):
    def ready(self) -> tuple[str, str]:
        """(id of Ray's node, `fault`)."""
        import ray

        return ray.get_runtime_context().get_node_id(), self.fault()
