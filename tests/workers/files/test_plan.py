"""How a video with subjects is planned: with one chooser, and in one piece if that follows the subjects."""

from fractions import Fraction
from pathlib import Path

import pytest

from stream.errors import UsageError
from stream.records.jobs import Job, Output
from stream.records.options import Options
from stream.settings import Settings
from tests.chooser_records import registered
from tests.media import numbered, write_video
from workers import engines
from workers.engines.with_subjects import FADE_S
from workers.files import plan
from workers.files.plan import Plan, make_plan

SETTINGS = Settings(threads=1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return write_video(path, (numbered(n, 16, 16) for n in range(120)), options={"g": "20"})


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of about 30 frames."""
    monkeypatch.setattr(plan, "_SHORTEST", 30)
    monkeypatch.setattr(plan, "_MAX_OVERLAP", 10.0)


def planned(path: Path, *subjects: str, chooser: str = "auto") -> Plan:
    options = Options.read(engine="chroma", subjects=list(subjects), chooser=chooser)
    job = Job(id="j", source="s", outputs=(Output(format="mkv"),), options=options)
    engine = engines.load("chroma", Options(engine="chroma"), SETTINGS)
    return make_plan(job, path, engine, SETTINGS)[0]


def test_a_video_whose_chooser_follows_the_subjects_is_not_cut(clip: Path) -> None:
    with registered():
        following, quick = planned(clip, "point:0.5,0.5"), planned(clip, "point:0.5,0.5", chooser="quick")
    assert (following.chooser, following.whole) == ("following", True)
    assert (quick.chooser, quick.whole) == ("quick", False)


def test_a_segment_is_warmed_up_for_the_time_in_which_a_lost_subject_fades(clip: Path) -> None:
    with registered():
        quick = planned(clip, "point:0.5,0.5", chooser="quick")
    assert warmup_s(quick) - warmup_s(planned(clip)) == FADE_S


def warmup_s(cut: Plan) -> Fraction:
    """Of the last segment."""
    (begin, _), (read_from, _) = cut.spans[-1], cut.reads[-1]
    assert begin is not None
    return (begin - (read_from or 0)) * cut.time_base


def test_a_video_without_subjects_has_no_chooser(clip: Path) -> None:
    without = planned(clip)
    assert (without.chooser, without.whole) == ("", False)


def test_a_plan_of_before_choosers_is_read(clip: Path) -> None:
    before = planned(clip).model_dump(exclude={"chooser"})
    assert Plan.model_validate(before).chooser == ""


def test_prompts_that_no_chooser_understands_fail_the_plan(clip: Path) -> None:
    with registered():
        options = Options.read(engine="chroma", subjects=["a hat"])
        job = Job(id="j", source="s", outputs=(Output(format="mkv"),), options=options)
        engine = engines.load("chroma", Options(engine="chroma"), SETTINGS)
        with pytest.raises(UsageError, match="none for words prompts is available here"):
            make_plan(job, clip, engine, SETTINGS)
