"""The player of the videos page: before and after. Also the place of waiting jobs, and axe."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from stream.records.jobs import Media
from tests.media import TALK, numbered_clip, remuxed
from tests.web.running_site import Site
from tests.web.static.pages import png
from tests.web.videos.file_worker import FileWorkerDouble, done, submitted
from tests.web.videos.tus import PATH, uploaded

DRIFT = "(document.querySelector('#player-before video').currentTime - document.querySelector('.result').currentTime)"
IN_STEP = "() => document.querySelector('#player-before video')?.readyState > 1 && Math.abs({drift} - {start}) < 0.06"


@pytest.fixture
def files(site: Site) -> Iterator[FileWorkerDouble]:
    files = FileWorkerDouble(site, result=TALK.read_bytes())
    yield files
    files.clear()


@pytest.fixture
def upload(http: httpx.Client) -> str:
    return uploaded(http, TALK.read_bytes())


def ended(http: httpx.Client, site: Site, upload: str, **fields: Any) -> str:
    """The path of a job whose result is TALK too."""
    path = submitted(http, upload=upload, **fields)
    FileWorkerDouble(site, result=TALK.read_bytes()).run()
    return path


def played(page: Any, site: Site) -> Any:
    page.goto(f"{site.url}/videos")
    page.click(".job button:has-text('Play')")
    page.wait_for_function("() => document.querySelector('.result').readyState > 1")
    return page


def in_step(page: Any, start_s: float) -> None:
    page.wait_for_function(IN_STEP.format(drift=DRIFT, start=start_s))


@pytest.mark.long
def test_source_and_result_play_in_step_from_the_trimmed_start(
    page: Any, http: httpx.Client, site: Site, files: FileWorkerDouble, upload: str
) -> None:
    ended(http, site, upload, start_s=1.25)
    played(page, site)
    page.click("#player-compare")
    in_step(page, 1.25)
    page.click("#player-play")
    page.wait_for_function("() => document.querySelector('#player-before video').paused")
    for seconds in (2.0, 0.5):
        page.evaluate(
            """(at) => { const seek = document.querySelector('#player-seek'); seek.value = at;
                seek.dispatchEvent(new Event('input')); }""",
            seconds,
        )
        page.wait_for_function(f"() => Math.abs(document.querySelector('.result').currentTime - {seconds}) < 0.02")
        in_step(page, 1.25)
    page.evaluate("() => { document.querySelector('#player-before video').currentTime = 0; }")  # a large drift
    in_step(page, 1.25)
    page.wait_for_timeout(700)  # taps close to one another are ignored
    page.click("#player-play")
    page.wait_for_function("() => !document.querySelector('#player-before video').paused")
    page.evaluate("() => { document.querySelector('.result').playbackRate = 2; }")
    page.wait_for_function("() => document.querySelector('#player-before video').playbackRate > 1.7")
    page.keyboard.press("Escape")
    page.wait_for_function("() => !document.querySelector('#player video')")


@pytest.mark.long
def test_a_source_whose_clock_begins_late_plays_in_step(
    page: Any, http: httpx.Client, site: Site, files: FileWorkerDouble, tmp_path: Path
) -> None:
    """Chromium keeps the file's clock."""
    clip = numbered_clip(tmp_path / "a.webm", 120, 640, 480, codec="libvpx", options={"g": "30"})
    late = remuxed(clip, tmp_path / "late.webm", picture_s=3600, sound_s=3600)
    ended(http, site, uploaded(http, late.read_bytes(), "late.webm"), start_s=1.25)
    played(page, site)
    page.click("#player-compare")
    in_step(page, 3601.25)
    page.click("#player-play")
    page.wait_for_function("() => document.querySelector('#player-before video').paused")
    page.evaluate("() => { document.querySelector('.result').currentTime = 2; }")
    page.wait_for_function(
        "() => Math.abs(document.querySelector('#player-before video').currentTime - 3603.25) < 0.06"
    )
    page.keyboard.press("Escape")


@pytest.mark.long
def test_the_line_is_a_slider(page: Any, http: httpx.Client, site: Site, files: FileWorkerDouble, upload: str) -> None:
    ended(http, site, upload)
    played(page, site)
    page.click("#player-compare")
    page.focus("#player-handle")
    slider = page.get_by_role("slider", name="Before and after")
    for key, value in (
        ("ArrowLeft", "48"),
        ("Shift+ArrowRight", "58"),
        ("Home", "0"),
        ("End", "100"),
        ("PageDown", "90"),
    ):
        page.keyboard.press(key)
        assert slider.get_attribute("aria-valuenow") == value
    assert slider.get_attribute("aria-valuetext") == "90 percent before"
    box = page.locator("#player-layer").bounding_box()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 20)
    page.mouse.up()
    assert slider.get_attribute("aria-valuenow") == "25"


@pytest.mark.long
def test_before_and_after_is_remembered(
    page: Any, http: httpx.Client, site: Site, files: FileWorkerDouble, upload: str
) -> None:
    ended(http, site, upload)
    played(page, site)
    page.click("#player-compare")
    played(page, site)
    page.wait_for_selector("#player-layer:not([hidden])")


@pytest.mark.long
def test_without_its_source_only_the_result_is_offered(
    page: Any, http: httpx.Client, site: Site, files: FileWorkerDouble, upload: str
) -> None:
    ended(http, site, upload)
    http.delete(f"{PATH}/{upload}", headers={"Tus-Resumable": "1.0.0"}).raise_for_status()
    played(page, site)
    page.wait_for_selector("#player-note:has-text('the original file is no longer on the server')")
    assert not page.is_visible("#player-compare")
    assert page.get_attribute(".result", "controls") is not None


@pytest.mark.long
def test_a_source_that_the_browser_cannot_play(
    page: Any, http: httpx.Client, site: Site, files: FileWorkerDouble, upload: str
) -> None:
    ended(http, site, upload)
    page.route("**/source", lambda route: route.fulfill(body="no video", content_type="video/x-matroska"))
    played(page, site)
    page.click("#player-compare")
    page.wait_for_selector("#player-note:has-text('your browser cannot play the original file')")
    assert not page.is_visible("#player-compare")
    assert not page.is_visible("#player-layer")
    page.wait_for_function("() => document.querySelector('.result').controls")


@pytest.mark.long
def test_a_view_of_another_size_is_not_compared(
    page: Any, http: httpx.Client, site: Site, files: FileWorkerDouble, upload: str
) -> None:
    ended(http, site, upload, options={"view": "side-by-side"})
    played(page, site)
    assert not page.is_visible("#player-compare")


@pytest.mark.parametrize(
    ("drift", "playing", "expected"),
    [
        (0.0, True, {"rate": 1}),
        (0.01, False, {"rate": 1}),
        (0.1, True, {"rate": 1.05}),
        (-0.1, True, {"rate": 0.95}),
        (0.29, True, {"rate": 1.1}),
        (0.31, True, {"seek": True}),
        (-4.0, True, {"seek": True}),
        (0.1, False, {"seek": True}),
    ],
)
def test_how_a_drift_is_corrected(studio: Any, drift: float, playing: bool, expected: dict[str, Any]) -> None:
    found = studio.evaluate(
        "async (args) => (await import('/static/videos/in_step.js')).correction(...args)", [drift, 1, playing]
    )
    assert found == pytest.approx(expected)


@pytest.mark.long
def test_waiting_jobs_tell_their_place(
    page: Any, http: httpx.Client, site: Site, files: FileWorkerDouble, upload: str
) -> None:
    for title in ("first", "second", "third"):
        submitted(http, upload=upload, title=title)
    page.goto(f"{site.url}/videos")
    for title, words in (("first", "Next in line"), ("second", "1 video is ahead"), ("third", "2 videos are ahead")):
        page.wait_for_selector(f".job:has-text('{title}') .meters:text-is('{words}')")
    task = files.task()
    site.call(site.context.jobs.planned(task, "", [1000], Media(duration_s=4, fps=30)))
    job = files.task().job
    progress = job.progress.model_copy(update={"fps": 10.0}).model_dump_json()  # 1,000 frames take 100 s
    site.call(site.context.jobs.link.ask("HSET", f"mattebox:job:{job.id}", "progress", progress))
    page.wait_for_selector(".job:has-text('second') .meters:text-is('Next in line · starts in about 2 min')")
    assert page.evaluate(
        """async () => { const { place } = await import('/static/videos/words.js');
            return [place({ ahead: null, starts_in_s: null }), place({ ahead: 0, starts_in_s: null }),
              place({ ahead: 3, starts_in_s: 5400 }), place({ ahead: 1, starts_in_s: 25 })]; }"""
    ) == [
        [],
        ["Next in line"],
        ["3 videos are ahead", "starts in about 1.5 h"],
        ["1 video is ahead", "starts in about 25 s"],
    ]


@pytest.mark.long
@pytest.mark.parametrize("size", [(390, 844), pytest.param((1440, 900), marks=pytest.mark.slow)])
def test_axe_finds_nothing_serious(
    page: Any,
    http: httpx.Client,
    site: Site,
    files: FileWorkerDouble,
    upload: str,
    size: tuple[int, int],
    tmp_path: Any,
    audited: Callable[[str], None],
) -> None:
    done(http, site, upload=upload)
    ended(http, site, upload)
    submitted(http, upload=upload)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(f"{site.url}/videos")
    page.wait_for_selector(".job[data-state=queued]")
    text = tmp_path / "notes.mp4"
    text.write_text("no video at all\n" * 100)
    page.set_input_files("#files", [TALK, text])
    page.wait_for_selector(".draft.failed")
    page.wait_for_selector(".draft .status[data-tone=good]")
    page.click("button:has-text('Different settings')")
    audited("a video with settings of its own")
    page.click("#look-done")
    page.locator(".job button:has-text('Play')").first.click()
    page.click("#player-compare")
    audited("before and after")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= size[0]


@pytest.mark.long
def test_a_picture_is_compared_too(page: Any, http: httpx.Client, site: Site) -> None:
    files = FileWorkerDouble(site, result=png("#cc2020"))
    submitted(http, upload=uploaded(http, png("#2020cc"), "photo.png"))
    task = files.task()
    site.call(site.context.jobs.planned(task, "", [1], Media(width=64, height=36, still=True)))
    files.segment()
    files.join()
    page.goto(f"{site.url}/videos")
    page.click(".job button:has-text('Show')")
    page.click("#player-compare")
    page.wait_for_function("() => document.querySelector('#player-before img')?.naturalWidth === 64")
    assert not page.is_visible("#player-bar"), "a picture has no time"
    page.keyboard.press("Escape")
    files.clear()
