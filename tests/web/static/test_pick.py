"""Picking subjects in the studio: what the page sends to a real server, for pointers, keys and fingers."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests import waiting
from tests.chooser_records import LISTING, NAMING, QUICK, registered
from tests.waiting import PATIENCE_S
from tests.web.running_site import Site
from tests.web.static.pages import opened, state, until
from tests.web.static.test_touch import SMALL
from tests.web.videos.file_worker import SUGGESTED, FileWorkerDouble

MARKS = (
    "[...document.querySelectorAll('.marks .mark')].map((each) => [each.style.left, each.style.top, each.className])"
)
ME = {"name": "subject-1", "keep": True, "prompts": ["point:0.25,0.5"]}


@pytest.fixture(autouse=True)
def chooser() -> Iterator[None]:
    with registered(QUICK):
        yield


@pytest.fixture
def picking(page: Any, video_site: Site) -> Any:
    """The studio with live video, while the user picks."""
    opened(page, video_site)
    page.click("#pick-open")
    page.wait_for_selector("#pick-layer")
    return page


def options(site: Site) -> dict[str, Any]:
    """Of the newest session."""
    with site.client() as http:
        found: dict[str, Any] = http.get("/api/sessions").json()["sessions"][0]["options"]
        return found


def sent(site: Site, *subjects: dict[str, Any]) -> None:
    """Wait until the session has these subjects."""
    waiting.until(lambda: options(site)["subjects"] == list(subjects), f"the session has {subjects}")


def place(page: Any, x: float, y: float) -> tuple[float, float]:
    """A place of the picture, 0 to 1 as it is seen, on the screen. The camera is 4:3, as the stage."""
    box = page.locator("#pick-layer").bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def click(page: Any, x: float, y: float, *, key: str = "") -> None:
    if key:
        page.keyboard.down(key)
    page.mouse.click(*place(page, x, y))
    if key:
        page.keyboard.up(key)


def drag(page: Any, first: tuple[float, float], second: tuple[float, float]) -> None:
    page.mouse.move(*place(page, *first))
    page.mouse.down()
    page.mouse.move(*place(page, *second), steps=4)
    page.mouse.up()


def near(prompt: str, kind: str, *numbers: float) -> None:
    """The prompt is of this kind, and its numbers are right to a pixel of the stage."""
    scheme, _, rest = prompt.partition(":")
    assert scheme == kind
    assert [float(number) for number in rest.split(",")] == pytest.approx(numbers, abs=0.004)


def subjects(site: Site, until: Callable[[list[Any]], bool]) -> list[Any]:
    waiting.until(lambda: until(options(site)["subjects"]), "the subjects are sent")
    found: list[Any] = options(site)["subjects"]
    return found


def test_click_alt_click_and_box(picking: Any, video_site: Site) -> None:
    click(picking, 0.25, 0.5)
    click(picking, 0.8, 0.25, key="Alt")
    drag(picking, (0.9, 0.9), (0.5, 0.4))
    [subject] = subjects(video_site, lambda all: bool(all) and len(all[0]["prompts"]) == 3)
    near(subject["prompts"][0], "point", 0.25, 0.5)
    near(subject["prompts"][1], "point", -0.8, 0.25)
    near(subject["prompts"][2], "box", 0.5, 0.4, 0.4, 0.5)
    assert options(video_site)["view"] == "overlay", "the user sees the own picture"
    picking.keyboard.press("Escape")
    waiting.until(lambda: options(video_site)["view"] == "composite", "the view is as before")
    assert picking.is_hidden("#pick-layer")
    assert picking.locator(".subject").count() == 1, "the list stays"


@pytest.mark.long
def test_two_subjects_undo_and_redo(picking: Any, video_site: Site) -> None:
    click(picking, 0.25, 0.5)
    picking.click("text=New subject")
    click(picking, 0.75, 0.5)
    first, second = subjects(video_site, lambda all: len(all) == 2)
    near(first["prompts"][0], "point", 0.25, 0.5)
    near(second["prompts"][0], "point", 0.75, 0.5)
    picking.click(".subject:nth-child(2) .keep")
    sent(video_site, first, second | {"keep": False})
    picking.keyboard.press("Control+z")
    sent(video_site, first, second)
    picking.click("[aria-label=Undo]")
    sent(video_site, first)
    picking.keyboard.press("Control+Shift+z")
    sent(video_site, first, second)
    picking.click("[aria-label='Delete Subject 1']")
    sent(video_site, second)


@pytest.mark.long
def test_single_marks_are_deleted(picking: Any, video_site: Site) -> None:
    click(picking, 0.25, 0.5)
    click(picking, 0.8, 0.25, key="Alt")
    drag(picking, (0.9, 0.9), (0.5, 0.4))
    [subject] = subjects(video_site, lambda all: bool(all) and len(all[0]["prompts"]) == 3)
    marks = picking.locator(".mark-list button")
    assert marks.all_inner_texts() == ["Point", "Not this", "Box"]
    marks.nth(1).hover()
    assert "negative" in picking.get_attribute(".mark.emphasised", "class"), "it is shown which one it is"
    marks.nth(1).click()
    first, _, box = subject["prompts"]
    sent(video_site, subject | {"prompts": [first, box]})
    assert picking.locator(".marks .mark").count() == 2
    marks.nth(1).focus()
    picking.keyboard.press("Delete")
    sent(video_site, subject | {"prompts": [first]})
    assert picking.evaluate("document.activeElement.innerText") == "Point", "the focus stays in the list"
    picking.keyboard.press("Enter")
    sent(video_site)
    assert picking.evaluate("document.activeElement.type") == "radio"
    assert picking.inner_text("#pick-subjects [role=status]") == "Mark 1 of Subject 1 was deleted."
    picking.keyboard.press("Control+z")
    sent(video_site, subject | {"prompts": [first]})
    picking.keyboard.press("Escape")
    assert picking.is_hidden(".mark-list")


@pytest.mark.long
def test_a_subject_is_renamed(picking: Any, video_site: Site) -> None:
    click(picking, 0.25, 0.5)
    picking.click("text=New subject")
    click(picking, 0.75, 0.5)
    first, second = subjects(video_site, lambda all: len(all) == 2)
    picking.click("[aria-label='Rename Subject 1']")
    assert picking.evaluate("document.activeElement.value") == "Subject 1"
    picking.keyboard.type("Ann Lee")
    picking.keyboard.press("Enter")
    sent(video_site, first | {"name": "Ann-Lee"}, second)
    assert picking.evaluate("document.activeElement.ariaLabel") == "Rename Ann-Lee"
    status = picking.locator("#pick-subjects [role=status]")
    assert status.inner_text() == "Subject 1 is called Ann-Lee now."
    picking.focus("input[value=subject-2]")
    picking.keyboard.press("F2")
    picking.keyboard.type("Ann-Lee")
    picking.keyboard.press("Enter")
    assert status.inner_text() == "There is already a subject called Ann-Lee."
    assert picking.get_attribute(".subject .name", "aria-invalid") == "true"
    picking.keyboard.press("Escape")
    assert picking.locator(".subject .title").all_inner_texts() == ["Ann-Lee", "Subject 2"]
    assert not picking.is_hidden("#pick-layer"), "Escape ended renaming only"
    picking.keyboard.press("Enter")
    picking.keyboard.type("Zoë")
    picking.focus("#pick-layer")
    assert status.inner_text() == "A name has 1 to 32 letters, digits, - and _."
    picking.keyboard.press("Control+z")
    sent(video_site, first, second)


@pytest.mark.long
def test_not_this_alone_removes_what_is_there(picking: Any, video_site: Site) -> None:
    picking.focus("[name=sign][value=this]")
    picking.keyboard.press("ArrowRight")
    click(picking, 0.5, 0.5)
    [subject] = subjects(video_site, lambda all: len(all) == 1)
    assert subject["keep"] is False
    near(subject["prompts"][0], "point", 0.5, 0.5)
    assert picking.inner_text("#pick-subjects [role=status]") == "Subject 1 is removed from the result."


@pytest.mark.long
def test_everything_by_keyboard(page: Any, video_site: Site) -> None:
    opened(page, video_site)
    page.keyboard.press("k")
    page.wait_for_selector("#pick-layer .crosshair")
    assert page.evaluate("document.activeElement.id") == "pick-layer"
    for _ in range(2):
        page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowDown")
    status = page.locator("#pick-subjects [role=status]")
    assert status.inner_text() == "30 percent from the left, 51 percent from the top"
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Alt+Enter")
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("b")
    page.keyboard.press("Escape")  # only the box
    page.keyboard.press("b")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Enter")
    sent(
        video_site,
        ME | {"prompts": ["point:0.3,0.51", "point:-0.3,0.41", "point:-0.3,0.31", "box:0.3,0.31,0.1,0.1"]},
    )
    page.keyboard.press("Escape")
    assert page.is_hidden("#pick-layer")
    assert page.evaluate("document.activeElement.id") == "pick-open"


@pytest.mark.long
def test_a_mirrored_picture_on_a_dense_screen(browser: Any, video_site: Site) -> None:
    """The user clicks what is seen; the server gets places in the picture that is sent."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, device_scale_factor=2)
    context.set_default_timeout(1000 * PATIENCE_S)
    page = context.new_page()
    opened(page, video_site)
    page.click("#tool-mirror")
    page.click("#pick-open")
    click(page, 0.25, 0.5)
    drag(page, (0.1, 0.1), (0.3, 0.5))
    [subject] = subjects(video_site, lambda all: bool(all) and len(all[0]["prompts"]) == 2)
    near(subject["prompts"][0], "point", 0.75, 0.5)
    near(subject["prompts"][1], "box", 0.7, 0.1, 0.2, 0.4)
    left, top, _ = page.evaluate(MARKS)[0]
    assert [float(left.rstrip("%")), float(top.rstrip("%"))] == pytest.approx([25, 50], abs=0.4), "where it was clicked"
    page.click("#tool-mirror")
    left, top, _ = page.evaluate(MARKS)[0]
    assert [float(left.rstrip("%")), float(top.rstrip("%"))] == pytest.approx([75, 50], abs=0.4), (
        "it follows the picture"
    )
    context.close()


@pytest.mark.long
def test_clicks_beside_the_picture_are_ignored(picking: Any, video_site: Site) -> None:
    """In a window of another shape, the picture has bars."""
    picking.evaluate("document.getElementById('theatre').style.setProperty('--ratio', 2.4)")
    until(picking, "document.querySelector('.pick-frame').offsetLeft > 50")
    click(picking, 0.05, 0.5)
    box = picking.locator(".pick-frame").bounding_box()
    picking.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.75 * box["height"])
    [subject] = subjects(video_site, lambda all: len(all) == 1)
    assert len(subject["prompts"]) == 1
    near(subject["prompts"][0], "point", 0.25, 0.75)


@pytest.mark.long
def test_subjects_are_remembered_and_sent_with_the_offer(picking: Any, video_site: Site) -> None:
    click(picking, 0.25, 0.5)
    [subject] = subjects(video_site, lambda all: len(all) == 1)
    picking.reload()
    picking.wait_for_selector(".subject:has-text('Subject 1')")
    with picking.expect_request(lambda request: request.method == "POST" and "sessions" in request.url) as offer:
        picking.click("#open")
    body = json.loads(offer.value.post_data)
    assert body["options"]["subjects"] == [subject]
    assert "view" not in body["options"], "the room is not remembered"
    state(picking, "live")
    assert options(video_site)["subjects"] == [subject]


@pytest.mark.long
def test_viewers_never_see_the_picture_on_which_the_user_picks(picking: Any, video_site: Site) -> None:
    click(picking, 0.25, 0.5)
    subjects(video_site, lambda all: len(all) == 1)
    picking.click("#share-open")
    with picking.expect_request(lambda request: "/whip/" in request.url) as offer:
        picking.click("#share-go")
    picking.wait_for_selector("#share-state:has-text('On air')")
    assert "subjects=subject-1" in offer.value.url, "from the first frame on"
    picking.click("#share-close")

    def published() -> dict[str, Any]:
        with video_site.client() as http:
            sessions = http.get("/api/sessions").json()["sessions"]
        return next(each["options"] for each in sessions if each["kind"] == "publish")

    state(picking, "live")
    until(picking, "document.querySelector('#pick-layer video').videoWidth > 0")  # the own camera, on this device only
    click(picking, 0.75, 0.5)
    waiting.until(lambda: len(published()["subjects"][0]["prompts"]) == 2, "the change is sent")
    assert published()["view"] == "composite"
    picking.keyboard.press("Escape")
    picking.click("#pick-open")
    assert published()["view"] == "composite"
    picking.click("#share-open")
    picking.click("#share-go")
    until(picking, "document.querySelector('#pick-layer video').srcObject === null")


@pytest.mark.long
def test_a_refused_subject_is_taken_back(picking: Any, video_site: Site) -> None:
    click(picking, 0.25, 0.5)
    [subject] = subjects(video_site, lambda all: len(all) == 1)
    problem = {"status": 422, "json": {"detail": "too many subjects"}, "content_type": "application/problem+json"}
    picking.route(
        "**/api/sessions/*",
        lambda route: route.fulfill(**problem) if route.request.method == "PATCH" else route.fallback(),
    )
    picking.click("text=New subject")
    click(picking, 0.75, 0.5)
    picking.wait_for_selector("#note:has-text('Not changed: too many subjects.')")
    assert picking.locator(".subject").count() == 1
    assert options(video_site)["subjects"] == [subject]


@pytest.mark.long
def test_the_mode_is_offered_only_with_a_chooser_of_points(page: Any, site: Site) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(site.url)
    page.wait_for_selector("#pick")
    page.wait_for_selector(".tile-choice img")
    controls = page.locator("#drawer-open").bounding_box()
    assert controls["y"] + controls["height"] <= 900, "the rest stays above the fold"
    assert page.is_disabled("#pick-open"), "there is no video"
    page.evaluate("subjects => localStorage.setItem('mattebox.options', JSON.stringify({ subjects }))", [ME])
    page.click("#drawer-open")
    assert page.eval_on_selector_all("#control-chooser option", "all => all.map((e) => e.value)") == ["auto", "quick"]
    with registered(NAMING):
        page.reload()
        page.wait_for_selector(".tile-choice img")
        state(page, "idle")
        assert page.is_hidden("#pick")
        page.check("input[value='color:#f4f1ea']")
        kept = page.evaluate("JSON.parse(localStorage['mattebox.options'])")
        assert "subjects" not in kept, "the server would refuse every offer"


@pytest.mark.long
def test_with_a_finger(phone: Any, video_site: Site) -> None:
    opened(phone, video_site)
    phone.tap("#pick-open")
    phone.tap("#pick-layer")
    [subject] = subjects(video_site, lambda all: len(all) == 1)
    near(subject["prompts"][0], "point", 0.5, 0.5)
    phone.tap(".signs label:has([value=not])")
    phone.tap("#pick-layer")
    [subject] = subjects(video_site, lambda all: len(all[0]["prompts"]) == 2)
    near(subject["prompts"][1], "point", -0.5, 0.5)
    assert phone.evaluate(SMALL) == []
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.long
@pytest.mark.usefixtures("hasty")
def test_axe_finds_nothing_serious(picking: Any, audited: Callable[[str], None]) -> None:
    click(picking, 0.25, 0.5)
    click(picking, 0.75, 0.5, key="Alt")
    picking.click("text=New subject")
    drag(picking, (0.4, 0.4), (0.6, 0.6))
    picking.wait_for_selector(".subject:nth-child(2)")
    picking.click(".subject:nth-child(2) .keep")
    audited("picking")
    picking.click("[aria-label='Rename Subject 2']")
    audited("renaming")
    picking.keyboard.press("Escape")
    picking.keyboard.press("Escape")
    audited("subjects")


@pytest.mark.long
def test_suggestions_from_the_cameras_frame(page: Any, video_site: Site) -> None:
    files = FileWorkerDouble(video_site, candidates=SUGGESTED)
    with registered(LISTING):
        opened(page, video_site)
        page.click("#pick-open")
        page.click("text=Suggest subjects")
        assert files.search().chooser == "auto"
        page.wait_for_selector("text=2 suggestions. Click one to keep it.")
        click(page, 0.25, 0.5)
        sent(video_site, ME)
        page.focus("[aria-label^='Keep suggestion 2, lamp']")
        assert page.locator(".outlines .emphasised").count() == 1
        page.keyboard.press("Enter")
        sent(video_site, ME, {"name": "subject-2", "keep": True, "prompts": ["class:lamp"]})
        page.click("text=Hide suggestions")
        assert page.locator(".outlines path").count() == 0
        storage = video_site.context.storage
        waiting.until(lambda: not storage.keys("uploads/"), "the camera's frame is removed from the server")
    files.clear()
