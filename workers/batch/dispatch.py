"""Which calls of the open films of a batch run next, and what follows from their outcomes. Knows no nodes: its
caller asks for a call when a node is free.

A film is opened only when a node is free and no open film has a call for it. So at most as many films are open as there
are nodes, however many videos the batch has.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from stream.records.jobs import JOIN, PLAN, POISON
from stream.records.lifetimes import DELIVERIES, LOSSES, TRIES
from workers.batch.calls import Call, Failed, Finished, Missing, Outcome, Planned, Record, Segmented, Stopped
from workers.batch.films import Film


@dataclass
class _Open:
    """A film that is not finished. waiting: names of tasks to run. running: number of calls. notes: of finished
    segments, by name. failed: it has failed, and only waits for its running calls to end."""

    film: Film
    stale: tuple[str, ...]
    waiting: deque[str] = field(default_factory=lambda: deque([PLAN]))
    running: int = 0
    planned: Planned | None = None
    notes: dict[str, str] = field(default_factory=dict)
    frames: int = 0
    seconds: float = 0.0
    device: str = ""
    failed: bool = False
    faults: Counter[str] = field(default_factory=Counter)  # failed tries, crashes and lost nodes, by task


class Dispatch:
    """on_done, on_failed: called once for each film, when it ends."""

    def __init__(self, on_done: Callable[[Film, Record], None], on_failed: Callable[[Film, Failed], None]) -> None:
        self._open: dict[str, _Open] = {}
        self._on_done, self._on_failed = on_done, on_failed

    def __len__(self) -> int:
        """Number of open films."""
        return len(self._open)

    def has(self, film: Film) -> bool:
        return film.job.id in self._open

    def open(self, film: Film, stale: tuple[str, ...] = ()) -> None:
        """Add a film. stale: as in `Call`."""
        self._open[film.job.id] = _Open(film, stale)

    def next(self) -> Call | None:
        """The next call, of the film that was opened first. None if all open films wait for their running calls."""
        for each in self._open.values():
            if each.waiting:
                each.running += 1
                return self._call(each, each.waiting.popleft())
        return None

    def _call(self, each: _Open, task: str) -> Call:
        return Call(
            film=each.film, task=task, planned=each.planned, notes=each.notes if task == JOIN else {},
            stale=each.stale, frames=each.frames, seconds=each.seconds, device=each.device,
        )  # fmt: skip

    def ended(self, call: Call, outcome: Outcome) -> None:
        """A call has ended."""
        each = self._open[call.film.job.id]
        each.running -= 1
        match outcome:
            case _ if each.failed:
                pass
            case Planned():
                self._planned(each, outcome)
            case Segmented():
                self._segmented(each, call.task, outcome)
            case Missing(names=names):
                for name in names:
                    each.notes.pop(name, None)
                each.waiting.extend(names)
            case Finished(record=record):
                self._on_done(each.film, record)
                del self._open[call.film.job.id]
            case Failed():
                self._again(each, call, "tries", TRIES if outcome.retry else 1, outcome)
            case Stopped():
                each.waiting.appendleft(call.task)
        self._drop_failed(each)

    def lost(self, call: Call, crashed: bool) -> None:
        """The node of a call was lost. crashed: only the process that ran the call died, and its machine is alive, so
        the film may be the cause."""
        each = self._open[call.film.job.id]
        each.running -= 1
        if not each.failed:
            kind, limit = ("crashes", DELIVERIES) if crashed else ("losses", LOSSES)
            what = "processes crashed" if crashed else "nodes were lost"
            poison = Failed(code=POISON, message=f"{limit} {what} while working on it", retry=False)
            self._again(each, call, kind, limit, poison)
        self._drop_failed(each)

    def _planned(self, each: _Open, outcome: Planned) -> None:
        job = each.film.job.model_copy(update={"source": outcome.source})
        each.film, each.planned = each.film.model_copy(update={"job": job}), outcome
        each.notes, each.seconds = dict(outcome.notes), outcome.seconds
        each.waiting.extend(name for name in outcome.segments if name not in each.notes)
        self._join_if_complete(each)

    def _segmented(self, each: _Open, task: str, outcome: Segmented) -> None:
        each.notes[task] = outcome.note
        each.frames += outcome.frames
        each.seconds += outcome.seconds
        each.device = outcome.device
        self._join_if_complete(each)

    def _join_if_complete(self, each: _Open) -> None:
        if each.planned is not None and not each.waiting and len(each.notes) == len(each.planned.segments):
            each.waiting.append(JOIN)

    def _again(self, each: _Open, call: Call, kind: str, limit: int, failure: Failed) -> None:
        """Run the task again, or, after `limit` faults of this kind, fail the film."""
        each.faults[f"{kind} {call.task}"] += 1
        if each.faults[f"{kind} {call.task}"] < limit:
            each.waiting.appendleft(call.task)
            return
        each.failed = True
        each.waiting.clear()
        self._on_failed(each.film, failure)

    def _drop_failed(self, each: _Open) -> None:
        if each.failed and not each.running:
            del self._open[each.film.job.id]
