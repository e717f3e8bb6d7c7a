"""Picking the subjects of videos and pictures on the videos page: which job the server gets."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from stream.records.options import View
from tests.chooser_records import LISTING, NAMING, QUICK, registered
from tests.conftest import PICTURES
from tests.media import TALK, numbered_clip, remuxed
from tests.waiting import PATIENCE_S
from tests.web.running_site import Site
from tests.web.static.pages import png
from tests.web.static.test_pick import drag, near
from tests.web.videos.file_worker import SUGGESTED, FileWorkerDouble, done
from tests.web.videos.tus import uploaded

READY = ".draft .status[data-tone=good]"
TIME_IS = "() => Math.abs(document.querySelector('#pick-seek').value - {}) < 0.03 && {}"
STILL = "!document.querySelector('#pick video').seeking"


@pytest.fixture(autouse=True)
def chooser() -> Iterator[None]:
    with registered(QUICK):
        yield


@pytest.fixture
def files(site: Site) -> Iterator[FileWorkerDouble]:
    files = FileWorkerDouble(site, result=TALK.read_bytes())
    yield files
    files.clear()


@pytest.fixture
def videos(page: Any, site: Site) -> Any:
    page.goto(f"{site.url}/videos")
    page.wait_for_selector(".tile-choice img")
    return page


def picking(page: Any, file: Path = TALK) -> None:
    page.set_input_files("#files", [file])
    page.wait_for_selector(READY)
    page.click(".draft button:has-text('Pick subjects')")
    page.wait_for_function("() => document.querySelector('#pick .pick-frame')?.offsetWidth > 0")


def at(page: Any, seconds: float) -> None:
    """Go to a frame, and wait until it is on the screen."""
    page.evaluate(
        """(seconds) => {
          const seek = document.querySelector('#pick-seek');
          seek.value = seconds;
          seek.dispatchEvent(new Event('input'));
        }""",
        seconds,
    )
    page.wait_for_function(TIME_IS.format(seconds, STILL))


def click(page: Any, x: float, y: float, **options: Any) -> None:
    box = page.locator(".pick-frame").bounding_box()
    page.locator("#pick-layer").click(
        position={
            "x": box["x"] + x * box["width"] - page.locator("#pick-layer").bounding_box()["x"],
            "y": box["y"] + y * box["height"] - page.locator("#pick-layer").bounding_box()["y"],
        },
        **options,
    )


def start(page: Any, files: FileWorkerDouble) -> Any:
    page.click(".draft button:has-text('Start')")
    page.wait_for_selector(".job:has-text('Waiting for a worker')")
    return files.plan().options.subjects


def test_each_prompt_has_the_time_of_its_frame(videos: Any, files: FileWorkerDouble) -> None:
    picking(videos)
    click(videos, 0.25, 0.5)
    at(videos, 2.0)
    click(videos, 0.75, 0.25, modifiers=["Alt"])
    videos.click("#pick-next")
    videos.wait_for_function(TIME_IS.format(2.04, STILL))
    drag(videos, (0.4, 0.2), (0.6, 0.8))
    assert videos.locator("#pick-marks button").count() == 3
    assert videos.locator(".mark.other-time").count() == 2
    videos.click("#pick-marks button >> nth=0")
    videos.wait_for_function(TIME_IS.format(0, STILL))
    assert videos.locator(".mark.other-time").count() == 2
    videos.click("#pick-done")
    assert videos.inner_text(".draft .buttons") == "Start\nSubjects: 1\nRemove"
    videos.reload()
    videos.wait_for_selector(f"{READY}, .draft button:has-text('Subjects: 1')")
    [subject] = start(videos, files)
    first, second, box = subject.prompts
    assert (first.inside, second.inside, box.kind) == (True, False, "box")
    assert (first.at_s, second.at_s, box.at_s) == pytest.approx((0.0, 2.0, 2.04), abs=0.045)
    assert box.at_s > second.at_s
    assert first.place == pytest.approx((0.25, 0.5), abs=0.01)
    assert second.place == pytest.approx((0.75, 0.25), abs=0.01)


@pytest.mark.long
def test_single_marks_are_deleted_and_a_subject_renamed(videos: Any, files: FileWorkerDouble) -> None:
    picking(videos)
    click(videos, 0.25, 0.5)
    at(videos, 2.0)
    click(videos, 0.5, 0.5)
    marks = videos.locator("#pick .mark-list button")
    assert marks.nth(0).inner_text() == "Point"
    assert marks.nth(1).inner_text().startswith("Point · ")
    marks.nth(0).focus()
    videos.keyboard.press("Delete")
    assert videos.locator("#pick-marks button").count() == 1
    videos.click("[aria-label='Rename Subject 1']")
    videos.keyboard.type("Nobody")
    videos.keyboard.press("Escape")
    assert videos.is_visible("#pick"), "Escape ended renaming only"
    videos.keyboard.press("Enter")
    videos.keyboard.type("Ann")
    videos.keyboard.press("Enter")
    videos.click("#pick-done")
    [subject] = start(videos, files)
    assert subject.name == "Ann"
    [prompt] = subject.prompts
    assert prompt.at_s == pytest.approx(2.0, abs=0.045)


@pytest.mark.long
def test_cancel_and_escape_change_nothing(videos: Any, files: FileWorkerDouble) -> None:
    picking(videos)
    click(videos, 0.25, 0.5)
    videos.click("#pick-close")
    assert videos.is_visible(".draft button:has-text('Pick subjects')")
    videos.click(".draft button:has-text('Pick subjects')")
    assert videos.locator("#pick .subject").count() == 0
    videos.keyboard.press("Escape")
    assert videos.is_hidden("#pick")
    assert start(videos, files) == ()


@pytest.mark.long
def test_a_video_whose_clock_begins_late(videos: Any, files: FileWorkerDouble, tmp_path: Path) -> None:
    """Chromium keeps the file's clock; the server counts from the file's start."""
    clip = numbered_clip(tmp_path / "a.webm", 120, codec="libvpx", options={"g": "30"})
    picking(videos, remuxed(clip, tmp_path / "late.webm", picture_s=3600, sound_s=3600))
    at(videos, 1.0)
    click(videos, 0.5, 0.5)
    videos.click("#pick-done")
    [subject] = start(videos, files)
    assert subject.prompts[0].at_s == pytest.approx(1.0, abs=0.04)


@pytest.mark.long
def test_what_the_marks_of_a_frame_choose_is_shown(videos: Any, files: FileWorkerDouble) -> None:
    picking(videos)
    assert videos.is_disabled("#pick-preview")
    click(videos, 0.25, 0.5)
    at(videos, 2.0)
    assert videos.is_disabled("#pick-preview"), "this frame has no marks"
    click(videos, 0.5, 0.5)
    with ThreadPoolExecutor() as pool:
        plan = pool.submit(files.plan)
        videos.click("#pick-preview")
        options = plan.result(PATIENCE_S).options
        files.segment()
        files.join()
    assert options.view is View.OVERLAY
    [subject] = options.subjects
    [prompt] = subject.prompts
    assert prompt.at_s == pytest.approx(2.0, abs=0.04)
    videos.wait_for_function("() => document.querySelector('.pick-stage > img')?.naturalWidth === 64")
    click(videos, 0.6, 0.5)
    assert videos.locator(".pick-stage > img").count() == 0, "it is no longer true"


@pytest.mark.long
def test_a_picture(videos: Any, files: FileWorkerDouble, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(png("#2020cc"))
    picking(videos, photo)
    assert videos.is_hidden("#pick-times")
    click(videos, 0.25, 0.5)
    videos.click("#pick-done")
    [subject] = start(videos, files)
    [prompt] = subject.prompts
    assert prompt.at_s == 0
    near(prompt.spec(), "point", 0.25, 0.5)


@pytest.mark.long
def test_a_finished_video_is_run_again_with_other_subjects(
    videos: Any, http: httpx.Client, site: Site, files: FileWorkerDouble
) -> None:
    subjects = [{"name": "me", "prompts": ["point:0.5,0.5", "box:0.25,0.25,0.5,0.5"]}]
    options = {"background": "color:#204060", "edges": {"feather": 2}, "subjects": subjects}
    outputs = [{"format": "webm"}, {"name": "matte", "format": "mkv", "view": "matte"}]
    fields = {"options": options, "outputs": outputs, "start_s": 1.0, "height": 480, "title": "film.mp4"}
    done(http, site, upload=uploaded(http, TALK.read_bytes()), **fields)
    videos.click(".job button:has-text('Pick subjects')")
    videos.wait_for_function(TIME_IS.format(1, f"document.querySelector('#pick video')?.readyState > 1 && {STILL}"))
    assert videos.locator("#pick .marks .mark").count() == 2
    click(videos, 0.25, 0.5, modifiers=["Alt"])
    videos.click("#pick-done")
    videos.wait_for_function("() => document.querySelectorAll('.job').length === 2")
    newest, first = http.get("/api/jobs").json()["jobs"]
    same = ("upload", "title", "outputs", "start_s", "end_s", "height", "metadata")
    assert [newest[name] for name in same] == [first[name] for name in same]
    [subject] = newest["options"]["subjects"]
    assert subject["prompts"][:2] == ["point:0.5,0.5", "box:0.25,0.25,0.5,0.5"]
    assert subject["prompts"][2].startswith("point:-0.25")
    assert newest["options"] | {"subjects": []} == first["options"] | {"subjects": []}


@pytest.mark.long
def test_without_a_chooser_of_points_nothing_is_offered(videos: Any, files: FileWorkerDouble) -> None:
    with registered(NAMING):
        videos.reload()
        videos.set_input_files("#files", [TALK])
        videos.wait_for_selector(READY)
        assert videos.is_hidden(".draft button:has-text('Pick subjects')")


@pytest.mark.long
@pytest.mark.parametrize("size", [(390, 844), (1440, 900)])
def test_axe_finds_nothing_serious(
    videos: Any, files: FileWorkerDouble, size: tuple[int, int], audited: Callable[[str], None]
) -> None:
    videos.set_viewport_size({"width": size[0], "height": size[1]})
    picking(videos)
    click(videos, 0.25, 0.5)
    videos.click("text=New subject")
    at(videos, 1.0)
    click(videos, 0.75, 0.5)
    audited("picking")
    assert videos.evaluate(
        "() => document.querySelector('#pick').scrollWidth <= document.querySelector('#pick').clientWidth"
    )


@pytest.mark.long
def test_suggestions_are_picked_on_the_picture_and_by_their_buttons(videos: Any, site: Site) -> None:
    files = FileWorkerDouble(site, result=TALK.read_bytes(), candidates=SUGGESTED)
    with registered(LISTING):
        videos.reload()
        picking(videos)
        videos.click("text=Suggest subjects")
        assert files.search().chooser == "auto"
        videos.wait_for_selector("text=2 suggestions. Click one to keep it.")
        assert videos.locator(".outlines path").count() == 2
        PICTURES.mkdir(exist_ok=True)
        videos.screenshot(path=PICTURES / "videos_suggestions.png")
        click(videos, 0.15, 0.15)  # a hole of the first candidate: an ordinary point
        videos.click("text=New subject")
        click(videos, 0.4, 0.5)
        assert videos.locator("#pick .mark-list[aria-label=Suggestions] button").all_inner_texts() == ["2"]
        videos.click("[aria-label^='Keep suggestion 2, lamp']")
        videos.click("#pick-next")
        videos.wait_for_function("!document.querySelector('.outlines path')")
        videos.click("#pick-done")
        point, first, second = start(videos, files)
        assert point.prompts[0].place == pytest.approx((0.15, 0.15), abs=0.01)
        assert [prompt.spec() for prompt in (*first.prompts, *second.prompts)] == ["point:0.25,0.5", "class:lamp"]
    files.clear()


@pytest.mark.long
def test_why_there_are_no_suggestions(videos: Any, files: FileWorkerDouble) -> None:
    picking(videos)
    assert not videos.is_visible("text=Suggest subjects")
    with registered(LISTING):
        videos.reload()
        videos.click(".draft button:has-text('Pick subjects')")
        videos.wait_for_function("() => document.querySelector('#pick .pick-frame')?.offsetWidth > 0")
        videos.click("text=Suggest subjects")
        files.fail("failed", "the network is too large")
        videos.wait_for_selector("text=No suggestions: the network is too large.")
        videos.click("text=Suggest subjects")
        files.search()
        videos.wait_for_selector("text=Nothing was found that could be a subject.")
