"""New videos on the videos page: one card for one file, settings of one video, and files that are refused."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from stream.records.metadata import Metadata
from tests.media import TALK
from tests.web.running_site import Site
from tests.web.static.pages import png
from tests.web.videos.file_worker import FileWorkerDouble
from tests.web.videos.tus import PATH

READY = ".draft .status[data-tone=good]"
DROP = """([name, size, modified]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(size)], name, { type: 'video/mp4', lastModified: modified }));
  const event = { dataTransfer: data, bubbles: true, cancelable: true };
  document.querySelector('#files').dispatchEvent(new DragEvent('drop', event));
}"""


@pytest.fixture
def videos(page: Any, site: Site) -> Any:
    """The videos page."""
    return opened(page, site)


def opened(page: Any, site: Site) -> Any:
    page.goto(f"{site.url}/videos")
    page.wait_for_selector(".tile-choice img")
    page.wait_for_selector("select[name=format] option", state="attached")
    return page


@pytest.fixture
def files(site: Site) -> Iterator[FileWorkerDouble]:
    files = FileWorkerDouble(site, result=TALK.read_bytes())
    yield files
    files.clear()


def drafts(page: Any, count: int, ready: bool = True) -> None:
    """Wait for this number of cards."""
    page.wait_for_function(f"() => document.querySelectorAll('{READY if ready else '.draft'}').length === {count}")
    assert page.locator(".draft").count() == count


@pytest.mark.long
def test_a_file_that_is_in_the_list_is_not_added_again(videos: Any, tmp_path: Path) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(TALK.read_bytes() + b"other")
    videos.set_input_files("#files", [TALK])
    videos.set_input_files("#files", [TALK])  # while it is uploaded
    drafts(videos, 1)
    assert videos.inner_text("#drafts-note") == "“talk_bikes.mp4” is already in the list."
    videos.set_input_files("#files", [other, TALK])  # when it is complete, together with a new one
    drafts(videos, 2)
    assert videos.inner_text("#drafts-note") == "“talk_bikes.mp4” is already in the list."
    videos.set_input_files("#files", [other, TALK])
    videos.wait_for_selector("#drafts-note:text-is('2 of these files are already in the list.')")
    videos.reload()
    drafts(videos, 2)
    videos.set_input_files("#files", [TALK])
    videos.wait_for_selector("#drafts-note:has-text('is already in the list')")
    drafts(videos, 2)
    videos.evaluate("() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    videos.evaluate("async () => { for (let i = 0; i < 5; i++) await (await fetch('/api/login')).json(); }")
    drafts(videos, 2)


@pytest.mark.long
def test_a_file_that_is_dropped_twice_has_one_card(videos: Any) -> None:
    for modified in (1, 1, 2):
        videos.evaluate(DROP, ["dropped.mp4", 1000, modified])
    videos.wait_for_function("() => document.querySelectorAll('.draft.failed').length === 2")
    assert videos.locator(".draft").count() == 2, "a file of another time is another one"


@pytest.mark.long
def test_two_tabs_show_one_upload_and_start_it_once(videos: Any, site: Site, files: FileWorkerDouble) -> None:
    videos.set_input_files("#files", [TALK])
    drafts(videos, 1)
    other = opened(videos.context.new_page(), site)
    drafts(other, 1)
    videos.click(".draft button:has-text('Start')")
    for page in (videos, other):
        page.wait_for_selector(".job")
        page.wait_for_selector(".draft", state="detached")
        assert page.locator(".job").count() == 1


@pytest.mark.long
def test_an_upload_that_another_tab_sends_is_not_called_interrupted(videos: Any, site: Site) -> None:
    held: list[Any] = []  # the first request with bytes, which never arrives; neither do later ones

    def hold(route: Any) -> None:
        if route.request.method != "PATCH":
            route.continue_()
        elif held:
            route.abort()
        else:
            held.append(route)

    videos.route(f"**{PATH}/*", hold)
    with videos.expect_request(lambda request: request.method == "PATCH"):
        videos.set_input_files("#files", [TALK])
    other = opened(videos.context.new_page(), site)
    other.wait_for_selector(".draft:has-text('Another tab is uploading this file.')")
    assert not other.is_visible(".draft button:has-text('Start')")
    other.set_input_files("#files", [TALK])
    other.wait_for_selector("#drafts-note:has-text('is already in the list')")
    held[0].abort()
    videos.close()
    other.wait_for_selector(".draft:has-text('Interrupted at 0 %')")
    other.set_input_files("#files", [TALK])
    drafts(other, 1)


@pytest.mark.long
def test_a_job_whose_reply_was_lost_leaves_no_draft(videos: Any, files: FileWorkerDouble) -> None:
    def lose(route: Any) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        route.fetch()
        route.abort()

    videos.route("**/api/jobs", lose)
    videos.set_input_files("#files", [TALK])
    drafts(videos, 1)
    videos.click(".draft button:has-text('Start')")
    videos.wait_for_selector(".job")
    videos.wait_for_selector(".draft", state="detached")
    videos.reload()
    videos.wait_for_selector(".job")
    assert videos.evaluate("() => localStorage['mattebox.uploads']") == "{}"
    assert videos.locator(".draft").count() == 0


@pytest.mark.long
def test_the_card_of_a_started_video_continues_as_its_job(videos: Any, files: FileWorkerDouble) -> None:
    videos.set_input_files("#files", [TALK])
    drafts(videos, 1)
    videos.evaluate("""() => {
      window.seen = [];
      const count = () => seen.push(document.querySelectorAll('.draft, .job').length);
      new MutationObserver(count).observe(document.body, { childList: true, subtree: true });
    }""")
    videos.focus(".draft button:has-text('Start')")
    videos.keyboard.press("Enter")
    videos.wait_for_selector(".job")
    videos.wait_for_selector(".draft", state="detached")
    assert set(videos.evaluate("() => seen")) == {1}, "never none, never two"
    assert videos.evaluate("() => Boolean(document.activeElement.closest('.job'))")


@pytest.mark.long
def test_a_refused_file_can_be_chosen_again(videos: Any) -> None:
    refusal = {"detail": "your uploads may have at most 5 bytes in total", "code": "over_quota"}
    videos.route(f"**{PATH}", lambda route: route.fulfill(status=413, json=refusal))
    videos.set_input_files("#files", [TALK])
    videos.wait_for_selector(".draft.failed:has-text('Your uploads may have at most 5 bytes in total.')")
    videos.unroute(f"**{PATH}")
    videos.set_input_files("#files", [TALK])
    drafts(videos, 1)
    assert videos.inner_text("#drafts-note") == ""


@pytest.mark.long
def test_a_file_that_changed_after_the_interruption_starts_from_its_beginning(
    videos: Any, http: httpx.Client, tmp_path: Path
) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(TALK.read_bytes())
    videos.route(f"**{PATH}/*", lambda route: route.abort() if route.request.method == "PATCH" else route.continue_())
    videos.set_input_files("#files", [film])
    videos.wait_for_selector(".draft:has-text('cannot be reached')")
    old = videos.evaluate("() => Object.keys(JSON.parse(localStorage['mattebox.uploads']))[0]")
    videos.unroute(f"**{PATH}/*")
    videos.reload()
    videos.wait_for_selector(".draft:has-text('Choose the same file again')")
    os.utime(film, (1, 1))
    videos.set_input_files("#files", [film])
    drafts(videos, 1)
    assert old not in videos.evaluate("() => localStorage['mattebox.uploads']")
    assert http.get(old).status_code == 404, "nobody needs it"


@pytest.mark.long
def test_the_card_of_a_bad_file_says_one_thing(videos: Any, tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video at all\n" * 100)
    videos.set_input_files("#files", [text])
    videos.wait_for_selector(".draft.failed")
    assert [line for line in videos.inner_text(".draft").split("\n") if line] == [
        "notes.mp4",
        "1.6 KB",
        "The file is text, not a video.",
        "Remove",
    ]
    shown = "all => all.filter((each) => each.checkVisibility()).map((each) => each.localName)"
    assert videos.eval_on_selector_all(".draft :is(button, video, img, input, progress, select, a)", shown) == [
        "button"
    ]
    videos.click(".draft button:has-text('Remove')")
    videos.wait_for_selector("#drafts-part", state="hidden")


@pytest.fixture
def two(videos: Any, tmp_path: Path) -> Any:
    """The page with the drafts talk_bikes.mp4 and second.mp4."""
    second = tmp_path / "second.mp4"
    second.write_bytes(TALK.read_bytes() + b"second")
    videos.set_input_files("#files", [TALK, second])
    drafts(videos, 2)
    return videos


def test_one_video_has_settings_of_its_own(two: Any, files: FileWorkerDouble) -> None:
    card = two.locator(".draft:has-text('second.mp4')")
    card.locator("button:has-text('Different settings for this video')").click()
    assert two.inner_text("#look-title") == "Settings for one video"
    assert two.inner_text("#look-of") == "second.mp4"
    two.check("input[value='gallery:dusk']")
    two.select_option("select[name=height]", "480")
    two.select_option("select[name=metadata]", "drop")
    two.click("#look-done")
    assert two.inner_text("#look-title") == "Settings for all new videos"
    two.check("input[value='color:#f4f1ea']")
    lines = two.locator(".look-row .words").all_inner_texts()
    assert lines == ["Common settings: Ivory · MP4", "Own settings: Dusk · MP4 · 480 lines · without metadata"]
    assert card.locator(".swatch img").get_attribute("src").endswith("/gallery/dusk/thumbnail")
    two.reload()
    drafts(two, 2)
    two.wait_for_selector(".look-row:has-text('Own settings: Dusk · MP4 · 480 lines · without metadata')")
    two.click("#start-all")
    two.wait_for_function("() => document.querySelectorAll('.job').length === 2")
    jobs = {job.title: (job.options.background.spec(), job.height, job.metadata) for job in (files.run(), files.run())}
    assert jobs["talk_bikes.mp4"] == ("color:#f4f1ea", 0, Metadata.NO_LOCATION)
    assert jobs["second.mp4"][1:] == (480, Metadata.DROP)
    assert "dusk" in jobs["second.mp4"][0]


@pytest.mark.long
def test_the_way_back_to_the_common_settings(two: Any, files: FileWorkerDouble) -> None:
    card = two.locator(".draft:has-text('second.mp4')")
    card.locator("button:has-text('Different settings')").click()
    two.check("input[value='transparent']")
    two.wait_for_selector(".look-row:has-text('Own settings: Transparent · WEBM')")
    assert (
        two.locator(".draft:has-text('talk_bikes') .look-row").inner_text().startswith("Common settings: Slate · MP4")
    )
    two.click("#look-done")
    assert two.evaluate("() => document.activeElement.textContent") == "Change"
    two.wait_for_timeout(700)  # taps close to one another are ignored
    card.locator("button:has-text('Use the common settings')").click()
    two.wait_for_function("() => !document.querySelector('.draft.own')")
    card.locator("button:has-text('Different settings')").press("Enter")
    card.locator("button:has-text('Start')").press("Enter")
    two.wait_for_selector(".job")
    assert two.inner_text("#look-title") == "Settings for all new videos", "the form does not stay with what is gone"
    assert files.run().outputs[0].format == "mp4"


@pytest.mark.long
def test_own_backgrounds_are_added_and_deleted_here_too(
    videos: Any, http: httpx.Client, files: FileWorkerDouble, tmp_path: Path
) -> None:
    assert videos.locator(".tile-choice[data-kind=image]").count() == 8
    picture = tmp_path / "beach.png"
    picture.write_bytes(png("#2060c0"))
    videos.set_input_files("#upload", [picture])
    own = videos.locator(".tile-choice:has(.remove)")
    own.wait_for()
    spec = own.locator("input").get_attribute("value")
    assert own.locator("input").is_checked()
    videos.set_input_files("#files", [TALK])
    drafts(videos, 1)
    videos.click(".draft button:has-text('Start')")
    videos.wait_for_selector(".job")
    files.run()
    [job] = http.get("/api/jobs").json()["jobs"]
    assert job["options"]["background"] == spec
    own.locator(".remove").click()
    own.wait_for(state="detached")
    assert all(not each["own"] for each in http.get("/api/backgrounds").json()["backgrounds"])
    assert videos.is_checked("input[value='color:#1f2937']")
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    videos.set_input_files("#upload", [text])
    videos.wait_for_selector("#background-note.bad:has-text('neither a picture nor a video')")


@pytest.mark.long
def test_the_strength_of_the_blur(videos: Any, files: FileWorkerDouble) -> None:
    videos.check(".tile-choice[data-kind=blur] input")
    videos.wait_for_selector("#blur-row")
    videos.focus("#blur")
    videos.keyboard.press("Home")
    videos.wait_for_selector("#blur-value:text-is('5 %')")
    videos.set_input_files("#files", [TALK])
    drafts(videos, 1)
    videos.click(".draft button:has-text('Start')")
    videos.wait_for_selector(".job")
    assert files.run().options.background.spec() == "blur:0.05"
