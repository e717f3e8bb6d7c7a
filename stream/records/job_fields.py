"""Conversion of job records to the fields of a Redis hash, and back. Knows nothing about Redis."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache

from pydantic import ValidationError

from stream.records import versions
from stream.records.jobs import Job, JobState, JobSummary

_TEXT_FIELDS = frozenset({"id", "owner", "title", "source", "url", "webhook", "state", "reason", "detail"})
_PARSED = 2000  # parsed records kept, of about 7 KB each


def to_fields(job: Job) -> list[str]:
    """A flat list of name, value, name, value …: `_TEXT_FIELDS` as they are, all others as JSON."""
    pairs = {name: value if name in _TEXT_FIELDS else json.dumps(value) for name, value in versions.dump(job).items()}
    return [text for pair in (pairs | job.extra_fields()).items() for text in pair]


def from_fields(fields: Mapping[str, str]) -> Job:
    """The inverse of `to_fields`; ignores fields that only the store uses, and what this version does not know."""
    texts = (
        f'"{name}":{json.dumps(fields[name]) if name in _TEXT_FIELDS else fields[name]}'
        for name in Job.model_fields
        if name in fields
    )
    text = f"{{{','.join(texts)}}}"
    try:
        return Job.model_validate_json(text).stored_in(fields)
    except ValidationError:
        return Job.read(json.loads(text), fields)


@lru_cache(_PARSED)
def from_json(record: str) -> Job:
    """A record as the scripts return it: a flat list in JSON. One that has not changed is not parsed again."""
    flat = json.loads(record)
    return from_fields(dict(zip(flat[::2], flat[1::2], strict=True)))


def summary(id: str, fields: Sequence[str]) -> JobSummary:
    """fields: state, source and ended_s, as stored."""
    state, source, ended_s = fields
    return JobSummary(id, known_state(state), source, float(ended_s))


def known_state(state: str) -> JobState:
    """A state that only newer versions know counts as queued: nothing of the job is removed."""
    return JobState(state) if state in set(JobState) else JobState.QUEUED
