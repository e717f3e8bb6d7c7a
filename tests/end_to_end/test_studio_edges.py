"""Controls whose effect on a known scene can be predicted, tested in the pixels that come back."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.end_to_end.camera_scene import CORNER, FAR, HEIGHT, MIDDLE, SHARP, SOFT, TINTED, WIDTH, Box, disc, inside
from tests.end_to_end.serving import Served

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("torch", reason="birefnet needs torch")
from tests.end_to_end.browser import CHROMIUM, go_live, page
from tests.end_to_end.page_video import becomes, look

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]


@pytest.fixture(scope="module")
def tab(scene_server: Served, scene: Any) -> Iterator[Any]:
    with page(scene) as tab:
        go_live(tab, scene_server.url, "input[value='color:#f4f1ea']")
        tab.click("#drawer-open")
        yield tab


@pytest.fixture
def studio(tab: Any) -> Iterator[Any]:
    """The studio, live and with an open drawer; afterwards every control is reset."""
    yield tab
    if tab.is_hidden("#drawer"):
        tab.click("#drawer-open")
    tab.click("#reset-all")


def choose(tab: Any, **controls: object) -> None:
    for name, value in controls.items():
        control = tab.locator(f"#control-{name}")
        if control.evaluate("e => e.tagName") == "SELECT":
            control.select_option(str(value))
        else:
            control.fill(str(value))


def with_engine(tab: Any, name: str, **controls: object) -> None:
    choose(tab, engine=name, **controls)
    tab.wait_for_selector(f"#meters:has-text('{name} on test')", state="attached", timeout=20_000)


def matte(tab: Any, name: str, **controls: object) -> None:
    with_engine(tab, name, view="matte", **controls)
    becomes(lambda: level(tab, CORNER), lambda grey: grey < 20)


def level(tab: Any, box: Box) -> float:
    return float(look(tab, box).mean())


def flicker(tab: Any) -> float:
    """Levels by which the edge changes from one picture to the next, although nothing moves."""
    return float(np.abs(np.diff(look(tab, SHARP, 16), axis=0)).mean())


def darkest(tab: Any) -> float:
    """The darkest level of the disc's middle over several pictures; sometimes it has a hole."""
    return float(look(tab, MIDDLE, 24).mean((1, 2, 3)).min())


def softness(tab: Any) -> float:
    """Percent of the pixels around the edge that are neither subject nor background."""
    grey = look(tab, SHARP, 16)[..., 1]
    return float(100 * ((grey > 50) & (grey < 205)).mean())


def misfit(tab: Any) -> float:
    """Levels between the matte and the true alpha at the sharp edge."""
    truth = 255 * disc(HEIGHT, WIDTH)[inside(SHARP, HEIGHT, WIDTH)]
    return float(np.abs(look(tab, SHARP)[..., 1] - truth).mean())


def green(tab: Any, box: Box) -> float:
    """Levels by which green exceeds red and blue."""
    pictures = look(tab, box)
    return float(np.clip(pictures[..., 1] - pictures[..., [0, 2]].max(-1), 0, None).mean())


def test_temporal_smoothing_and_its_strength(studio: Any) -> None:
    """The edge flickers by about 30 levels from picture to picture, and by about 6 at full strength."""
    matte(studio, "selfie", temporal="off")
    off = becomes(lambda: flicker(studio), lambda levels: levels > 18)
    choose(studio, temporal="live", temporal_strength=1)
    most = becomes(lambda: flicker(studio), lambda levels: levels < 11)
    choose(studio, temporal_strength=0.1)
    little = becomes(lambda: flicker(studio), lambda levels: levels > 18)
    choose(studio, temporal="auto", temporal_strength=1)
    automatic = becomes(lambda: flicker(studio), lambda levels: levels < 11)
    choose(studio, temporal_strength=0)
    none = becomes(lambda: flicker(studio), lambda levels: levels > 18)
    print(f"off {off:.1f}, full {most:.1f}, automatic {automatic:.1f}, at 0.1 {little:.1f}, at 0 {none:.1f}")


def test_looking_ahead_fills_holes(studio: Any) -> None:
    """The delay that this adds does not cause a reconnection."""
    matte(studio, "selfie", temporal="off")
    off = becomes(lambda: darkest(studio), lambda levels: levels < 60)
    choose(studio, temporal="live")
    live = becomes(lambda: darkest(studio), lambda seen: 90 < seen < 225)
    choose(studio, temporal="live+1")
    late = becomes(lambda: darkest(studio), lambda levels: levels > 240)
    choose(studio, temporal="live")
    becomes(lambda: darkest(studio), lambda seen: 90 < seen < 225)
    choose(studio, temporal="offline")
    both = becomes(lambda: darkest(studio), lambda levels: levels > 240)
    print(f"darkest of the middle: off {off:.0f}, no delay {live:.0f}, one frame late {late:.0f}, both ways {both:.0f}")
    assert studio.evaluate("mattebox.live.reconnects") == 0


def test_refine(studio: Any) -> None:
    matte(studio, "rvm", temporal="off", refine="off")
    coarse = becomes(lambda: misfit(studio), lambda levels: levels > 16)
    choose(studio, refine="on")
    fitted = becomes(lambda: misfit(studio), lambda levels: levels < coarse / 2)
    print(f"levels off the true alpha: engine's {coarse:.1f}, refined {fitted:.1f}")


def test_spill_removal(studio: Any) -> None:
    with_engine(studio, "birefnet", foreground="keep", temporal="off")
    kept = becomes(lambda: green(studio, TINTED), lambda levels: levels > 20)
    choose(studio, spill=0.5)
    half = becomes(lambda: green(studio, TINTED), lambda levels: 0.35 * kept < levels < 0.75 * kept)
    choose(studio, spill=1)
    none = becomes(lambda: green(studio, TINTED), lambda levels: levels < 0.3 * kept)
    print(f"excess levels of green: {kept:.1f}, half {half:.1f}, without {none:.1f}")


def test_foreground_estimation(studio: Any) -> None:
    with_engine(studio, "birefnet", foreground="keep", temporal="off")
    kept = becomes(lambda: green(studio, SOFT), lambda levels: levels > 9)
    found = []
    for value in ("estimate", "keep", "auto"):
        choose(studio, foreground=value)
        holds = (lambda levels: levels > 0.8 * kept) if value == "keep" else (lambda levels: levels < kept / 2)
        found.append(becomes(lambda: green(studio, SOFT), holds))
    print(f"excess levels of green: {kept:.1f}; estimated, kept, automatic: {found}")


def test_follow_the_subject(studio: Any) -> None:
    """Then everything far from the subject is background, except in a few frames. A low threshold makes it visible."""
    matte(studio, "birefnet", temporal="off", threshold=0.05)
    everywhere = becomes(lambda: float(look(studio, FAR, 10).mean()), lambda levels: levels > 100)
    studio.check("#control-roi")
    followed = becomes(lambda: float(look(studio, FAR, 10).mean()), lambda levels: levels < everywhere / 3)
    disc_kept = level(studio, MIDDLE)
    print(f"far from the subject: {everywhere:.0f}, followed {followed:.0f}; the subject {disc_kept:.0f}")
    assert disc_kept > 240


def test_options_of_one_engine(studio: Any) -> None:
    """They are disabled with other engines, and do not get in their way."""
    for engine, enabled in (("auto", ["key"]), ("rvm", []), ("chroma", ["key"]), ("birefnet", ["roi"])):
        choose(studio, engine=engine)
        assert [name for name in ("roi", "key") if studio.is_enabled(f"#control-{name}")] == enabled
    studio.check("#control-roi")
    with_engine(studio, "selfie")
    assert not studio.is_checked("#control-roi")
    assert studio.inner_text("#note") == ""


def test_presets(studio: Any) -> None:
    """Smooth keeps the engine's edges, Automatic refines them, Sharp uses an engine without holes."""
    matte(studio, "selfie")
    studio.click("#drawer-close")
    studio.check("input[value=fast]")
    fast = becomes(lambda: softness(studio), lambda percent: percent > 18)
    studio.check("input[value=balanced]")
    balanced = becomes(lambda: softness(studio), lambda percent: percent < 16.5)
    becomes(lambda: darkest(studio), lambda levels: levels < 225)
    studio.check("input[value=best]")
    best = becomes(lambda: darkest(studio), lambda levels: levels > 240)
    print(f"percent soft: fast {fast:.1f}, balanced {balanced:.1f}; darkest of the middle with best {best:.0f}")
