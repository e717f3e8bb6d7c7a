"""Which videos of a batch are matted, when results exist already."""

import os
from pathlib import Path
from typing import Any

import pytest

from stream.errors import BackgroundError
from stream.records.jobs import Job, Output
from stream.records.options import Options
from stream.storage import keys
from workers.batch.films import Film, Request
from workers.batch.inputs import Input
from workers.batch.intake import Decision, Intake


def request(weights: str = "", options: dict[str, Any] | None = None, **fields: Any) -> Request:
    chosen = Options.read(**{"engine": "chroma"} | (options or {}))
    return Request(Job(id="r", options=chosen, **{"outputs": (Output(format="mkv"),)} | fields), weights)


def source(name: str = "a.mp4", size: int = 7, version: str = "v1") -> Input:
    return Input("/films", name, size, version, name.partition(".")[0])


def film(of: Request | None = None, video: Input | None = None) -> Film:
    of = of or request()
    return of.film(video or source(), of.fingerprint())


def intake(
    *records: Film, present: tuple[str, ...] = (), stored: tuple[str, ...] = (), overwrite: bool = False
) -> Intake:
    return Intake([keys.batch_done(each.result, each.job.id) for each in records], stored, present, overwrite)


OTHERS = [
    film(video=source(size=8)),
    film(video=source(version="v2")),
    film(request(options={"background": "blur"})),
    film(request(weights="lite")),
    film(request(start_s=1.0)),
    film(request(height=24)),
]


def test_what_identifies_a_result() -> None:
    assert film() == film()
    assert len({film().job.id, *(other.job.id for other in OTHERS)}) == len(OTHERS) + 1
    assert all(other.result == "a.mkv" for other in OTHERS)
    assert film(request(outputs=(Output(format="png"),))).result == "a.zip"


def test_the_file_of_a_background_is_part_of_the_request(tmp_path: Path) -> None:
    picture = tmp_path / "mars.jpg"
    picture.write_bytes(b"red")
    with_picture = request(options={"background": f"image:{picture}"})
    before = with_picture.fingerprint()
    os.utime(picture, ns=(1, 1))
    assert with_picture.fingerprint() != before
    picture.unlink()
    with pytest.raises(BackgroundError, match=r"mars\.jpg"):
        with_picture.fingerprint()


def test_a_new_video_is_matted() -> None:
    assert intake().decide(film()).decision is Decision.RUN


def test_what_is_done_is_not_done_again() -> None:
    assert intake(film(), present=("a.mkv",)).decide(film()).decision is Decision.DONE


def test_a_result_that_was_removed_is_made_again() -> None:
    assert intake(film()).decide(film()).decision is Decision.RUN


def test_a_result_without_its_final_name_is_continued_with() -> None:
    """The node died between the record and the final name, while an older result had that name."""
    stored = (keys.job_result(film().job.id, film().job.outputs[0]),)
    assert intake(film(), present=("a.mkv",), stored=stored).decide(film()).decision is Decision.RUN


@pytest.mark.parametrize("other", OTHERS)
def test_results_of_other_requests_are_kept_and_reported(other: Film) -> None:
    verdict = intake(other, present=("a.mkv",)).decide(film())
    assert verdict.decision is Decision.KEPT
    assert "other options or from another version" in verdict.why
    replaced = intake(other, present=("a.mkv",), overwrite=True).decide(film())
    assert (replaced.decision, replaced.stale) == (Decision.RUN, (other.job.id,))


def test_files_of_others_are_kept_and_reported() -> None:
    verdict = intake(present=("a.mkv",)).decide(film())
    assert verdict.decision is Decision.KEPT
    assert "not made by mattebox batch" in verdict.why
    assert intake(present=("a.mkv",), overwrite=True).decide(film()).decision is Decision.RUN


@pytest.mark.parametrize("name", ["a.mov", "A.mp4", "a.mp4"])
def test_two_videos_with_one_result(name: str) -> None:
    decided = intake()
    decided.decide(film())
    verdict = decided.decide(film(video=source(name)))
    assert verdict.decision is Decision.CLASH
    assert "/films/a.mp4" in verdict.why


def test_a_record_belongs_to_one_name() -> None:
    other = film(video=source("b.mp4"))
    assert intake(other, present=("a.mkv", "b.mkv")).decide(film()).decision is Decision.KEPT
    key = keys.batch_done(film().result, film().job.id)
    assert keys.batch_ids(key) == (keys.batch_name(film().result), film().job.id)
