"""The studio's first screen in plain words: quality, what viewers see, sharing, and the keys of the backgrounds."""

import json
from typing import Any

import pytest

from stream.records.engines import ENGINES
from tests.web.running_site import Site
from tests.web.static.pages import SHARE_TABS, png, ready, state, until

TITLES = "[...document.querySelectorAll('.preset .title')].map((each) => each.textContent)"
KEYS = """() => Object.fromEntries([...document.querySelectorAll('.tile-choice:has(kbd)')].map((tile) => {
  return [tile.querySelector('kbd').textContent, tile.querySelector('.title').textContent];
}))"""
# Titles of the presets as the studio makes them when it gets `menu`, with the costs measured on earlier visits.
PRESETS = f"""async ([menu, costs]) => {{
  const {{ Choices }} = await import('/static/studio/choices.js');
  const {{ Presets }} = await import('/static/studio/presets.js');
  document.querySelectorAll('.preset').forEach((each) => each.remove());
  localStorage['mattebox.costs'] = JSON.stringify(costs);
  const choices = new Choices(() => false), presets = new Presets(choices);
  choices.learn(menu);
  presets.learn(menu);
  return {TITLES};
}}"""
HIDE_CLIPBOARD = """() => {
  window.real = navigator.clipboard;
  Object.defineProperty(navigator, 'clipboard', { value: undefined, configurable: true });
}"""


def opened(page: Any, site: Site) -> None:
    page.goto(site.url)
    page.wait_for_selector(".tile-choice img")
    state(page, "idle")


@pytest.mark.long
def test_the_first_screen_names_no_engine_and_no_device(page: Any, site: Site) -> None:
    ready(site, 1)
    opened(page, site)
    text = page.inner_text("main")
    assert [word for word in (*ENGINES, "cpu", "fps", " ms") if word in text] == []
    assert page.evaluate(TITLES) == [ENGINES["selfie"].title, "Automatic", f"{ENGINES['rvm'].title} (slower here)"]
    page.click(".costs summary")
    assert "rvm; measured when you use it" in page.inner_text("#costs")


@pytest.mark.long
@pytest.mark.parametrize(
    ("device", "costs", "expected"),
    [
        ("cpu", {}, ["Smooth", "Automatic", "Sharp (slower here)"]),
        ("cpu", {"best": ["rvm", 29, 30, 60]}, ["Smooth", "Automatic", "Sharp"]),
        ("cpu", {"best": ["rvm", 12, 30, 60]}, ["Smooth", "Automatic", "Sharp (slower here)"]),
        ("cpu", {"best": ["rvm", 30, 30, 900]}, ["Smooth", "Automatic", "Sharp (slower here)"]),
        ("cpu", {"fast": ["selfie", 9, 30, 60]}, ["Smooth (slower here)", "Automatic", "Sharp (slower here)"]),
        ("cuda in float16", {}, ["Smooth", "Automatic", "Sharpest"]),
        ("cuda in float16", {"best": ["rvm", 12, 30, 60]}, ["Smooth", "Automatic", "Sharpest"]),
        (None, {}, ["Smooth", "Automatic", "Sharp"]),
    ],
)
def test_slower_here_follows_what_was_measured_or_else_the_device(
    studio: Any, site: Site, device: str | None, costs: dict[str, list[Any]], expected: list[str]
) -> None:
    """device: of the ready worker; None: no worker is ready. costs: engine, frames per second, of how many, ms."""
    with site.client() as http:
        menu = http.get("/api/options").json()
    menu["workers"] = [{"engine": "selfie", "device": device, "load": 0.1}] if device else []
    fields = ("engine", "fps", "of", "ms")
    kept = {name: dict(zip(fields, cost, strict=True)) | {"device": "cpu"} for name, cost in costs.items()}
    assert studio.evaluate(PRESETS, [menu, kept]) == expected


@pytest.mark.long
@pytest.mark.usefixtures("hasty")
def test_a_server_that_is_too_busy_says_what_helps(page: Any, video_site: Site) -> None:
    def overload(route: Any) -> None:
        answer = route.fetch()
        record = answer.json()
        record["meters"] = (record.get("meters") or {}) | {"fps_in": 30.0, "matte_fps": 12.0, "engine": "selfie"}
        route.fulfill(response=answer, json=record)

    opened(page, video_site)
    page.click("#open")
    state(page, "live")
    page.wait_for_selector("#measurements-open:enabled")  # there are meters
    page.route("**/api/sessions/*", overload)
    page.wait_for_selector("#notice:has-text('12 of 30 frames per second. Choose “Smooth” under Quality.')")
    page.check("input[value=fast]")
    page.wait_for_selector(
        "#notice:has-text('12 of 30 frames per second. It helps to run fewer videos on this server at the same time.')"
    )


@pytest.mark.long
@pytest.mark.usefixtures("hasty")
def test_a_lost_subject_is_shown_until_it_is_found(page: Any, video_site: Site) -> None:
    notices = ["subject-2 is lost: hidden until found again"]

    def lost(route: Any) -> None:
        answer = route.fetch()
        record = answer.json()
        record["meters"] = (record.get("meters") or {}) | {"notice": notices[0]}
        route.fulfill(response=answer, json=record)

    opened(page, video_site)
    page.click("#open")
    state(page, "live")
    page.route("**/api/sessions/*", lost)
    page.wait_for_selector("#notice:has-text('Subject 2 is lost: hidden until found again')")
    notices[0] = "the subject is lost: hidden until found again"
    page.wait_for_selector("#notice:has-text('The subject is lost: hidden until found again')")
    notices[0] = ""
    page.wait_for_selector("#notice", state="hidden")


@pytest.mark.long
def test_a_busy_server_does_not_advise_what_is_in_use(page: Any, video_site: Site) -> None:
    """Automatic chooses the engine of Smooth on most computers."""

    def light(route: Any) -> None:
        answer = route.fetch()
        menu = answer.json()
        menu["workers"] = [worker | {"engine": "selfie"} for worker in menu["workers"]]
        route.fulfill(response=answer, json=menu)

    page.route("**/api/options", light)
    opened(page, video_site)
    assert "Now: Smooth." in page.inner_text(".preset:has([value=balanced])")
    remedy = """async () => {
      const { Choices } = await import('/static/studio/choices.js');
      const { Presets } = await import('/static/studio/presets.js');
      const choices = new Choices(() => false), presets = new Presets(choices);
      const menu = await (await fetch('/api/options')).json();
      choices.learn(menu); presets.learn(menu);
      const advice = [];
      for (const part of [{ engine: null }, { engine: 'rvm' }, { engine: null, refine: 'on' }]) {
        choices.choose(part); advice.push(presets.remedy());
      }
      return advice;
    }"""
    fewer, lighter, custom = page.evaluate(remedy)
    assert "fewer videos" in fewer
    assert "Smooth" in lighter
    assert "Smooth" in custom, "it has lighter settings of the same engine"


@pytest.mark.long
def test_sharing_says_who_sees_transparency(page: Any, site: Site) -> None:
    opened(page, site)
    warning = "You chose Transparent: viewers see a checkerboard."
    page.check("input[value=transparent]")
    page.click("#share-open")
    panel = page.locator("[role=tabpanel]:not([inert])")
    page.click("#share-tab-obs")
    assert "checkerboard" not in panel.inner_text()
    assert "Browser source" in panel.inner_text()
    assert "1280 wide and 720 high" in panel.inner_text()
    page.click("#share-tab-watch")
    assert warning in panel.inner_text()
    assert "use the tab OBS" in panel.inner_text()
    page.click("#share-watch .use-green")
    page.wait_for_selector("#share-copied:has-text('Your background is green now.')")
    assert page.is_checked("input[value='color:#00ff00']")
    assert warning not in panel.inner_text()
    page.click("#share-tab-publish")
    assert "OBS 30 or newer" in page.inner_text("#share-publish")


@pytest.mark.parametrize("width", [1280, 1440, 390])
def test_names_of_backgrounds_are_not_cut(studio: Any, site: Site, width: int) -> None:
    page = studio
    page.set_viewport_size({"width": width, "height": 800})
    opened(page, site)
    for spec in ("blur:0.7", "transparent"):
        page.check(f"input[value='{spec}']")
        cut = page.evaluate(
            "[...document.querySelectorAll('#backgrounds .title')].filter(e => e.scrollWidth > e.clientWidth)"
            ".map(e => e.textContent)"
        )
        assert cut == []


@pytest.mark.long
def test_it_says_what_viewers_see_of_transparent_and_of_the_room(page: Any, site: Site) -> None:
    opened(page, site)
    page.check("input[value=none]")
    assert (
        page.inner_text("#about") == "Only you see your room. Viewers never do: on air, they see a strong blur instead."
    )
    assert page.is_hidden("#use-green")
    page.check("input[value=transparent]")
    assert page.inner_text("#about") == "Viewers see this checkerboard. For OBS, use Share."
    page.click("#use-green")
    assert page.is_checked("input[value='color:#00ff00']")
    assert page.is_hidden("#use-green")


@pytest.mark.long
def test_own_pictures_keep_the_keys_and_quality_in_view(page: Any, workerless: Site) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    opened(page, workerless)
    before = page.evaluate(KEYS)
    assert list(before) == list("123456789")
    assert (before["1"], before["2"], before["9"]) == ("Blur", "Studio", "Neon")
    with workerless.client() as http:
        for n in range(11):
            assert http.post("/api/backgrounds", content=png(f"#0000{n:02x}")).status_code == 201
    page.reload()
    page.wait_for_selector(".tile-choice .remove >> nth=10")
    after = page.evaluate(KEYS)
    assert after == before | {f"⇧{n}": f"My picture {n}" for n in range(1, 10)}
    for name in ("#presets", "#drawer-open"):
        box = page.locator(name).bounding_box()
        assert box["y"] + box["height"] <= 900, f"{name} is below the fold"
    page.keyboard.press("Shift+Digit2")
    assert page.locator("[data-key='⇧2'] input").is_checked()
    assert page.inner_text("#about") == "My picture 2"
    page.keyboard.press("7")
    assert page.is_checked("input[value='gallery:dusk']")


@pytest.mark.long
def test_tabs_of_the_share_dialog_with_the_keyboard(page: Any, site: Site) -> None:
    opened(page, site)
    page.click("#share-open")
    size = page.locator("#share").bounding_box()
    page.focus("#share-tab-watch")
    for key, expected in [("ArrowRight", "obs"), ("ArrowRight", "publish"), ("ArrowRight", "watch"), ("End", "publish"),
                          ("Home", "watch"), ("ArrowLeft", "publish")]:  # fmt: skip
        page.keyboard.press(key)
        chosen = page.locator("[role=tab][aria-selected=true]")
        assert chosen.get_attribute("id") == f"share-tab-{expected}" == page.evaluate("document.activeElement.id")
        assert page.locator("[role=tab][tabindex='0']").count() == 1
        assert page.locator("[role=tabpanel]:not([inert])").get_attribute("aria-labelledby") == f"share-tab-{expected}"
        assert page.locator("#share").bounding_box() == size, "the dialog keeps its size"
    page.wait_for_selector("#share-publish .reveal:enabled")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "share-whip"


@pytest.mark.long
def test_tokens_are_masked_until_asked_for_and_made_only_when_needed(page: Any, site: Site) -> None:
    made: list[str] = []

    def note(request: Any) -> None:
        if request.url.endswith("/api/links"):
            made.append(json.loads(request.post_data)["kind"])

    page.on("request", note)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened(page, site)
    page.click("#share-open")
    page.wait_for_selector("#share-watch .copy:enabled")
    assert made == ["view"]
    for name in ("view", "obs", "clean", "token"):
        page.click(f"#share-tab-{SHARE_TABS[name]}")
        page.evaluate("navigator.clipboard.writeText('')")
        page.click(f".address:has(#share-{name}) .copy")
        until(page, "navigator.clipboard.readText()")
        page.wait_for_selector("#share-copied:has-text('Copied.')")
        copied, field = page.evaluate("navigator.clipboard.readText()"), page.input_value(f"#share-{name}")
        secret = copied.partition("token=")[2] if name != "token" else copied
        assert len(secret) > 40
        assert "•" in field
        assert secret not in page.content()
        assert secret not in field
        page.click(f".address:has(#share-{name}) .reveal")
        assert page.input_value(f"#share-{name}") == copied
    assert made == ["view", "publish"]
    page.click("#share-close")
    page.click("#share-open")
    assert "•" in page.input_value("#share-token"), "masked again"


@pytest.mark.long
def test_copying_works_on_pages_without_the_clipboard_api(page: Any, site: Site) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened(page, site)
    page.evaluate(HIDE_CLIPBOARD)
    page.click("#share-open")
    page.click("#share-watch .copy")
    page.wait_for_selector("#share-copied:has-text('Copied.')")
    until(page, "real.readText().then((text) => text.includes('/view/studio#token='))")
    assert "•" in page.input_value("#share-view")
