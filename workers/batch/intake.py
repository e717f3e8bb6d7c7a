"""Decides for each input of a batch whether it is matted: the rules for results that exist already.

A result is complete under its final name. The record of a result in the working storage says from which version of
which video, and with which options, it was made: the id of its job is a hash of them.
"""

from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass
from enum import StrEnum

from stream.storage import Storage, keys
from workers.batch.films import Film


class Decision(StrEnum):
    """run: matte it. done: its result was made by an earlier run of the same request. kept: a file has the name of its
    result, and is something else; it is kept. clash: another input of this run has the same result."""

    RUN = "run"
    DONE = "done"
    KEPT = "kept"
    CLASH = "clash"


@dataclass(frozen=True)
class Verdict:
    """stale: ids of jobs whose records the new result replaces. why: for people; "" for `run` and `done`."""

    decision: Decision
    stale: tuple[str, ...] = ()
    why: str = ""


class Intake:
    """records: keys of the records in the working storage. stored: keys of all files of jobs in it. present: the names
    of the files in the place of the results. overwrite: replace results of other requests, and other files."""

    def __init__(self, records: Iterable[str], stored: Iterable[str], present: Container[str], overwrite: bool) -> None:
        self._ids: dict[str, set[str]] = defaultdict(set)
        for key in records:
            name, id = keys.batch_ids(key)
            self._ids[name].add(id)
        self._stored, self._present, self._overwrite = set(stored), present, overwrite
        self._owners: dict[str, str] = {}

    @classmethod
    def of(cls, storage: Storage, present: Container[str], overwrite: bool) -> "Intake":
        """With what an earlier run has left in the working storage. Raises DiskError."""
        return cls(storage.keys(keys.BATCH_DONE), storage.keys(keys.JOBS), present, overwrite)

    def decide(self, film: Film) -> Verdict:
        """What to do with a film. Called once for each."""
        if owner := self._owners.get(film.result.casefold()):
            return Verdict(Decision.CLASH, why=f"{owner} is written to {film.result} too; rename one of them")
        self._owners[film.result.casefold()] = film.address
        ids = self._ids.get(keys.batch_name(film.result), set())
        stale = tuple(sorted(ids - {film.job.id}))
        if film.result not in self._present:
            return Verdict(Decision.RUN, stale)
        if film.job.id in ids:
            unpublished = keys.job_result(film.job.id, film.job.outputs[0]) in self._stored
            return Verdict(Decision.RUN if unpublished else Decision.DONE, stale)
        if self._overwrite:
            return Verdict(Decision.RUN, stale)
        return Verdict(Decision.KEPT, why=_OTHER if ids else _FOREIGN)


_OTHER = "was made with other options or from another version of the video; replace it with --overwrite"
_FOREIGN = "exists and was not made by mattebox batch; replace it with --overwrite"
