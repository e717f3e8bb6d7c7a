"""Records of jobs: validation, and conversion to JSON and back."""

import pytest
from pydantic import ValidationError

from stream.records import versions
from stream.records.jobs import JOB_MOVES, Job, JobState, Output
from stream.records.options import Options, View


def test_a_job_survives_json() -> None:
    job = Job(id="a", options=Options.read(background="blur:0.3"), outputs=(Output(view=View.MATTE, format="mkv"),))
    assert Job.model_validate_json(job.model_dump_json()) == job


def test_only_an_output_that_names_subjects_needs_a_newer_program() -> None:
    plain, named = Job(id="a"), Job(id="a", outputs=(Output(), Output(name="b", subject=("ann", "bob"))))
    assert [versions.format_of(job) for job in (plain, named)] == [1, 2]
    assert ["subject" in output for output in versions.dump(named)["outputs"]] == [False, True]
    assert Job.model_validate_json(named.model_dump_json()) == named


@pytest.mark.parametrize(
    "fields",
    [
        {"outputs": (Output(), Output())},
        {"outputs": ()},
        {"start_s": 2.0, "end_s": 2.0},
        {"priority": 10},
        {"width": -1},
        {"start_s": float("nan")},
        {"unknown": 1},
    ],
)
def test_invalid_fields_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Job(id="a", **fields)


def test_an_output_may_have_its_own_background() -> None:
    options = Options.read(background="green", view="matte", engine="rvm")
    assert Output(background="blur").options(options).background.kind == "blur"
    assert Output().options(options) == options
    assert Output(view=View.STACKED).options(options).engine == "rvm"


def test_transitions_and_final_states() -> None:
    assert set(JOB_MOVES) == set(JobState)
    assert {state for state in JobState if state.final} == {JobState.DONE, JobState.FAILED, JobState.CANCELLED}
    assert not JOB_MOVES[JobState.DONE]
