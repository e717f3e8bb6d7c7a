"""The videos page in a real Chromium, against the real server and a file worker double."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from stream.records.formats import DEFAULT, FORMATS
from stream.records.metadata import Metadata
from tests.conftest import PICTURES
from tests.media import TALK, numbered_clip, remuxed
from tests.pictures import person, save
from tests.stream.records.jobs import new_job
from tests.tracks import Video, write_streams
from tests.waiting import PATIENCE_S
from tests.web.running_site import Site
from tests.web.videos.file_worker import FileWorkerDouble, submitted
from tests.web.videos.tus import PATH, sent, uploaded

playwright = pytest.importorskip("playwright.sync_api", reason="the page's tests need playwright")
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"the page's tests need {CHROMIUM}")
READY = ".draft .status[data-tone=good]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, site: Site) -> Iterator[Any]:
    """The videos page, open; a script error in it fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, accept_downloads=True)
    context.set_default_timeout(1000 * PATIENCE_S)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{site.url}/videos")
    page.wait_for_selector("input[value='color:#f4f1ea']", state="attached")
    yield page
    page.unroute_all(behavior="wait")
    context.close()
    assert not faults


@pytest.fixture
def files(site: Site) -> Iterator[FileWorkerDouble]:
    files = FileWorkerDouble(site, result=TALK.read_bytes())
    yield files
    files.clear()


def test_from_a_file_to_its_result(page: Any, site: Site, files: FileWorkerDouble, tmp_path: Path) -> None:
    page.check("input[value='color:#f4f1ea']")
    page.select_option("select[name=height]", "480")
    page.select_option("select[name=metadata]", "keep")
    page.set_input_files("#files", [TALK])
    page.wait_for_selector(READY)
    assert page.inner_text(".look-row .summary").endswith(" · 480 lines · with locations")
    page.focus("input[aria-label=Start]")
    for _ in range(20):
        page.keyboard.press("ArrowRight")  # a step is a twentieth of a second
    page.wait_for_selector(".trim:has-text('0:01.0 to 0:04.0')")
    page.click(".draft button:has-text('Start')")
    page.wait_for_selector(".job:has-text('Waiting for a worker')")
    job = files.plan(2)
    assert (job.start_s, job.end_s, job.height, job.title) == (1.0, None, 480, "talk_bikes.mp4")
    assert job.options.background.spec() == "color:#f4f1ea"
    assert job.metadata is Metadata.KEEP
    files.segment()
    page.wait_for_selector(".job:has-text('30 of 60 frames')")
    files.segment()
    page.reload()
    page.wait_for_selector(".job:has-text('60 of 60 frames')")
    files.join()
    page.wait_for_selector(".job[data-state=done]")
    page.click(".job button:has-text('Play')")
    page.wait_for_function("() => document.querySelector('#player video').currentTime > 0.3")
    assert page.evaluate("() => document.querySelector('#player video').videoWidth") == 640
    PICTURES.mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / "videos.png")
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.click(".job a:has-text('Download')")
    assert download.value.suggested_filename == "talk_bikes-result.mp4"
    assert Path(download.value.path()).read_bytes() == TALK.read_bytes()
    page.click(".job button:has-text('Remove')")
    page.wait_for_selector(".job", state="detached")


@pytest.mark.long
def test_the_part_of_a_video_whose_clock_begins_late(page: Any, files: FileWorkerDouble, tmp_path: Path) -> None:
    """Chromium keeps the file's clock; the server counts from the file's start."""
    clip = numbered_clip(tmp_path / "a.webm", 120, codec="libvpx", options={"g": "30"})
    page.set_input_files("#files", [remuxed(clip, tmp_path / "late.webm", picture_s=3600, sound_s=3600)])
    page.wait_for_selector(READY)
    page.wait_for_selector(".trim:has-text('0:00.0 to 0:04.0')")
    page.focus("input[aria-label=Start]")
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    page.wait_for_selector(".trim:has-text('0:01.0 to 0:04.0')")
    page.wait_for_function("() => Math.abs(document.querySelector('.draft video').currentTime - 3601) < 0.06")
    page.click(".draft button:has-text('Start')")
    page.wait_for_selector(".job:has-text('Waiting for a worker')")
    job = files.plan(1)
    assert (job.start_s, job.end_s) == (1.0, None)


@pytest.mark.long
def test_a_preview_of_one_frame(page: Any, files: FileWorkerDouble) -> None:
    page.set_input_files("#files", [TALK])
    page.wait_for_selector(READY)
    with ThreadPoolExecutor() as pool:
        made = pool.submit(files.run)
        page.click("button:has-text('Preview this frame')")
        made.result(PATIENCE_S)
    page.wait_for_selector(".draft img:not([hidden])")
    assert page.evaluate("() => document.querySelector('.draft img').naturalWidth") == 64
    page.press("button:has-text('Back to the video')", "Enter")
    page.click(".draft button:has-text('Remove')")
    page.wait_for_selector("#drafts-part", state="hidden")


@pytest.mark.long
def test_one_of_several_video_streams_is_selected(page: Any, files: FileWorkerDouble, tmp_path: Path) -> None:
    page.set_input_files("#files", [TALK])
    page.wait_for_selector(READY)
    assert page.is_hidden("select[aria-label='Video stream']"), "there is no choice"
    page.click(".draft button:has-text('Remove')")
    page.set_input_files("#files", [write_streams(tmp_path / "two.ts", [Video((64, 48)), Video((128, 96))])])
    page.wait_for_selector(READY)
    choices = page.locator("select[aria-label='Video stream'] option").all_inner_texts()
    assert choices == ["The best video stream", "Video stream 0", "Video stream 1"]
    page.select_option("select[aria-label='Video stream']", "Video stream 0")
    page.click(".draft button:has-text('Start')")
    page.wait_for_selector(".job:has-text('Waiting for a worker')")
    assert files.plan().stream == 0


@pytest.mark.long
def test_an_upload_resumes_after_a_reload(page: Any, http: httpx.Client) -> None:
    page.route(f"**{PATH}/*", lambda route: route.abort() if route.request.method == "PATCH" else route.continue_())
    page.set_input_files("#files", [TALK])
    page.wait_for_selector(".draft:has-text('cannot be reached')")
    address = page.evaluate("() => Object.keys(JSON.parse(localStorage['mattebox.uploads']))[0]")
    assert sent(http, address, 0, TALK.read_bytes()[:1000]).status_code == 204, "this part has arrived"
    page.reload()
    page.wait_for_selector(".draft:has-text('Choose the same file again')")
    page.unroute(f"**{PATH}/*")  # only now: the page before would have sent the rest
    with page.expect_request(lambda request: request.method == "PATCH") as patch:
        page.set_input_files("#files", [TALK])
    assert patch.value.headers["upload-offset"] == "1000"
    assert patch.value.url.endswith(address)
    page.wait_for_selector(READY)
    assert page.locator(".draft").count() == 1
    page.reload()
    page.wait_for_selector(READY)
    assert page.locator(".draft button:has-text('Start')").is_enabled(), "a complete upload no longer needs its file"
    page.click(".draft button:has-text('Remove')")
    page.wait_for_selector(".draft", state="detached")


@pytest.mark.long
def test_several_files_of_which_one_is_not_a_video(page: Any, files: FileWorkerDouble, tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video at all\n" * 100)
    second = tmp_path / "<img src=x>.mp4"
    second.write_bytes(TALK.read_bytes() + b"second")
    page.set_input_files("#files", [TALK, second, text])
    page.wait_for_selector(".draft:has-text('notes.mp4'):has-text('is text, not a video')")
    page.wait_for_function(f"() => document.querySelectorAll('{READY}').length === 2")
    page.click("#start-all")
    page.wait_for_function("() => document.querySelectorAll('.job').length === 2")
    assert page.locator("h3:text-is('<img src=x>.mp4')").count() == 1, "a file name is shown as text, not as HTML"
    first = page.locator(".job").first
    name = first.locator("h3").inner_text()
    # By keyboard, because taps close to one another are ignored. Each state has its own buttons.
    for action, after in (("Pause", "paused"), ("Resume", "queued"), ("Cancel", "cancelled")):
        first.locator(f"button:has-text('{action}')").press("Enter")
        page.wait_for_selector(f".job[data-state={after}]:has(h3:text-is('{name}'))")
    files.fail()
    page.wait_for_selector(".job[data-state=failed]:has-text('the engine gave up')")
    page.click(".job button:has-text('Try again')")
    page.wait_for_selector(".job[data-state=queued]")
    page.click(".draft button:has-text('Remove')")


FAILURES = [
    ("poison", "it killed the process that worked on it 3 times", "crashed or were lost too often"),
    ("poison", "25 workers were lost while working on it", "crashed or were lost too often"),
    ("unreadable_media", "not a video: <b>moov</b> is missing", "cannot be read as a video (not a video: "),
    ("encode", "the encoder refuses the frame", ""),
]


@pytest.mark.long
def test_a_failed_job_shows_the_reason_and_the_servers_detail(
    page: Any, http: httpx.Client, files: FileWorkerDouble
) -> None:
    upload = uploaded(http, TALK.read_bytes())
    for n, (reason, detail, shown) in enumerate(FAILURES):
        submitted(http, upload=upload, title=f"film {n}")
        files.fail(reason, detail)
        card = page.locator(f".job[data-state=failed]:has-text('film {n}')")
        card.wait_for()
        text = card.locator(".meters").text_content()
        assert shown in text
        assert detail in text, "the detail is shown as text, not as HTML"
        assert ". (" not in text, "the detail is part of the sentence"
        assert card.locator(".meters *").count() == 0


@pytest.mark.long
def test_the_formats_are_those_of_the_server(page: Any, http: httpx.Client, files: FileWorkerDouble) -> None:
    page.wait_for_selector("select[name=format] option", state="attached")
    listed = page.eval_on_selector_all("select[name=format] option", "all => all.map((o) => [o.value, o.textContent])")
    menu = [kind for kind in http.get("/api/options").json()["formats"] if not kind["still"]]
    videos = [kind for kind in FORMATS.values() if not kind.still]
    assert listed == [[kind["name"], kind["title"]] for kind in menu] == [[k.name, k.choice] for k in videos]
    assert page.input_value("select[name=format]") == DEFAULT
    page.check("input[value='transparent']")
    page.wait_for_selector("#format-note:has-text('Not available with a transparent background: MP4.')")
    assert page.input_value("select[name=format]") == "webm"
    opaque = page.eval_on_selector_all("select[name=format] option:disabled", "all => all.map((o) => o.value)")
    assert opaque == [kind.name for kind in videos if not kind.transparent]
    page.check("input[name=matte]")
    page.set_input_files("#files", [TALK])
    page.wait_for_selector(READY)
    page.click(".draft button:has-text('Start')")
    page.wait_for_selector(".job")
    job = files.run()
    assert [(output.name, output.format) for output in job.outputs] == [("result", "webm"), ("matte", "mkv")]
    assert job.metadata is Metadata.NO_LOCATION
    page.wait_for_selector(".job button:has-text('Play result')")
    assert not page.is_visible(".job button:has-text('Play matte')"), "no browser plays FFV1"


@pytest.mark.long
@pytest.mark.usefixtures("hasty")
def test_the_formats_arrive_late(page: Any, files: FileWorkerDouble) -> None:
    page.route("**/api/options", lambda route: route.abort())
    page.reload()
    page.set_input_files("#files", [TALK])
    page.wait_for_selector(READY)
    page.click(".draft button:has-text('Start')")
    page.wait_for_selector(".job")
    assert [output.format for output in files.run().outputs] == [DEFAULT], "the server chooses"
    page.wait_for_selector(".job a:has-text('Download')")
    page.unroute("**/api/options")
    page.wait_for_selector(".job button:has-text('Play')")


@pytest.mark.long
@pytest.mark.usefixtures("hasty")
def test_backgrounds_are_listed_while_the_options_are_unavailable(page: Any) -> None:
    """As while Redis is away: /api/options needs it, /api/backgrounds does not."""
    page.route("**/api/options", lambda route: route.fulfill(status=503, body="{}"))
    page.reload()
    page.wait_for_selector("input[value='color:#f4f1ea']", state="attached")
    assert page.locator("select[name=engine] option").count() == 1
    page.unroute("**/api/options")
    page.wait_for_selector("select[name=engine] option[value=rvm]", state="attached")


@pytest.mark.long
def test_nothing_is_cut_off_on_small_and_large_screens(page: Any) -> None:
    page.set_input_files("#files", [TALK])
    page.wait_for_selector(READY)
    for width, height in ((390, 844), (820, 1100), (1440, 900), (1920, 1080), (2560, 1300)):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        cut = "all => all.filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.textContent)"
        assert page.eval_on_selector_all("#backgrounds .title", cut) == [], width
        if width > 900:
            box = page.locator("#look").bounding_box()
            assert box["y"] + box["height"] <= height, "the settings are in view"
    page.click(".draft button:has-text('Remove')")


@pytest.mark.long
def test_a_picture_has_no_player_and_no_part(page: Any, site: Site, tmp_path: Path) -> None:
    source, result = save(tmp_path / "photo.png", person(122, 90)), tmp_path / "cut.png"
    save(result, person(40, 30))
    files = FileWorkerDouble(site, result=result.read_bytes())
    page.set_input_files("#files", [source])
    page.wait_for_selector(READY)
    page.wait_for_function("() => document.querySelector('.draft .screen img:not([hidden])')?.naturalWidth === 122")
    assert page.is_hidden(".draft .trim")
    assert page.is_hidden(".draft video")
    page.click(".draft button:has-text('Start')")
    page.wait_for_selector(".job:has-text('Waiting for a worker')")
    job = files.run()
    assert [(output.name, output.format, job.end_s) for output in job.outputs] == [("result", "png-picture", None)]
    page.wait_for_selector(".job[data-state=done]")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.job .screen img')].some((i) => i.naturalWidth === 40)"
    )
    page.click(".job button:has-text('Play')")
    page.wait_for_function("() => document.querySelector('#player img').naturalWidth === 40")
    files.clear()


@pytest.mark.long
def test_a_long_list_is_shown_in_parts(page: Any, site: Site, files: FileWorkerDouble) -> None:
    async def fill() -> list[str]:
        jobs = [await site.context.jobs.submit(new_job(title=f"film {n}")) for n in range(60)]
        for job in jobs:
            await site.context.jobs.cancel(job.id)
        return [job.id for job in jobs]

    ids = site.call(fill())
    page.reload()
    page.wait_for_selector("#more-jobs:visible")
    titles = [f"film {n}" for n in reversed(range(60))]
    assert page.locator(".job h3").all_inner_texts() == titles[:50]
    site.call(site.context.jobs.remove(ids[30]))
    page.wait_for_selector(".job:has-text('film 30')", state="detached")
    page.click("#more-jobs")
    page.wait_for_selector("#more-jobs", state="hidden")
    titles.remove("film 30")
    assert page.locator(".job h3").all_inner_texts() == titles
