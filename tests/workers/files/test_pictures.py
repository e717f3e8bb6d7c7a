"""Jobs whose input is a picture: one task, one picture for each output, the same as from `mattebox file`."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import Base

from stream.errors import UnsupportedOutput
from stream.progress import LineReporter
from stream.records.jobs import Job, Output
from stream.records.options import Background, Options, View
from stream.settings import Settings
from tests.media import numbered_clip
from tests.pictures import SKIN, exif, load, person, points, save, stored
from workers import engines
from workers.files import segments
from workers.files.plan import make_plan
from workers.files.segments import Segment
from workers.files.watcher import Watcher
from workers.files.work import Work
from workers.runs.file import FileRun, run_file

SETTINGS = Settings()
CUT = Output(name="cut", format="png-picture", background=Background(kind="transparent"))
MATTE = Output(name="matte", format="webp", view=View.MATTE)
FLAT = Output(name="flat", format="jpg")


def job_of(*outputs: Output, size: tuple[int, int] = (0, 0)) -> Job:
    options = Options.read(engine="chroma", background="color:#2040a0")
    return Job(id="j", source="s", outputs=outputs, options=options, width=size[0], height=size[1])


def done(job: Job, path: Path, folder: Path) -> tuple[list[Path], Segment]:
    engine = engines.load("chroma", job.options, SETTINGS)
    plan, _, _ = make_plan(job, path, engine, SETTINGS)
    segment = Segment(Work(job, plan, path, SETTINGS, Watcher()), 0)
    assert plan.whole
    segments.check(job)
    segments.run_segment(segment, folder, engine)
    return segment.files(folder), segment


def test_each_output_is_a_picture(tmp_path: Path) -> None:
    path = save(tmp_path / "source", stored(person(), 6), format="JPEG", exif=exif(6), quality=97, subsampling=0)
    (cut, matte, flat), segment = done(job_of(CUT, MATTE, FLAT), path, tmp_path)
    assert [file.suffix for file in (cut, matte, flat)] == [".png", ".webp", ".jpg"]
    skin, _, screen = points()
    assert np.abs(load(cut)[skin].astype(int) - (*SKIN, 255)).max() <= 6
    assert load(cut)[screen].tolist() == [0, 0, 0, 0]
    assert np.abs(load(flat)[screen].astype(int) - (0x20, 0x40, 0xA0)).max() <= 4
    assert load(matte)[screen].max() <= 4
    with Image.open(flat) as image:
        assert (image.size, image.getexif()[Base.Orientation]) == ((61, 45), 1)
    assert segment.work.watcher.frames == 1


def test_the_result_is_that_of_the_command(tmp_path: Path) -> None:
    path = save(tmp_path / "source.png", person(122, 90))
    job = job_of(CUT, size=(61, 0))
    (cut,), _ = done(job, path, tmp_path)
    task = FileRun(path, tmp_path / "by_hand.png", CUT.options(job.options), size=(61, 0))
    run_file(task, SETTINGS, LineReporter(io.StringIO()))
    assert np.array_equal(load(cut), load(tmp_path / "by_hand.png"))


def test_the_media_are_of_the_picture(tmp_path: Path) -> None:
    path, job = save(tmp_path / "source.png", person()), job_of(FLAT)
    _, media, warnings = make_plan(job, path, engines.load("chroma", job.options, SETTINGS), SETTINGS)
    assert (media.width, media.height, media.still, media.duration_s, media.fps) == (61, 45, True, 0, 0)
    assert media.bytes == path.stat().st_size
    assert warnings == []


def test_formats_must_fit_the_input(tmp_path: Path) -> None:
    picture, clip = save(tmp_path / "a.png", person()), numbered_clip(tmp_path / "c.mp4", 3)
    engine = engines.load("chroma", job_of(FLAT).options, SETTINGS)
    with pytest.raises(UnsupportedOutput, match="is a picture, and MKV"):
        make_plan(job_of(Output(format="mkv")), picture, engine, SETTINGS)
    with pytest.raises(UnsupportedOutput, match="is a video, and JPEG"):
        make_plan(job_of(FLAT), clip, engine, SETTINGS)
