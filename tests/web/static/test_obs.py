"""The page for OBS on a server with tokens: which links it accepts, and that it shows nothing without one."""

import io
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.waiting import PATIENCE_S
from tests.web.running_site import Site


def link(users: Site, name: str, kind: str = "view", expires_s: int = 60) -> dict[str, str]:
    with users.client("alice-token") as alice:
        made = alice.post("/api/links", json={"kind": kind, "name": name, "expires_s": expires_s})
        assert made.status_code == 201
        found: dict[str, str] = made.json()
        return found


def state_becomes(page: Any, name: str) -> None:
    page.wait_for_selector(f"body[data-state={name}]", state="attached", timeout=1000 * PATIENCE_S)


def assert_empty(page: Any) -> None:
    """Nothing is visible, and nothing can be used."""
    image = Image.open(io.BytesIO(page.screenshot(omit_background=True))).convert("RGBA")
    assert not np.asarray(image).any()
    assert page.inner_text("body").strip() == ""
    assert page.locator("button, a, input, [controls]").count() == 0


def test_a_signed_link_is_accepted_and_nothing_is_visible_before_the_stream(page: Any, users: Site) -> None:
    console: list[str] = []
    page.on("console", lambda message: console.append(message.text))
    page.goto(link(users, "studio")["obs"])
    state_becomes(page, "notLive")
    assert_empty(page)
    assert any(line.startswith("mattebox: notLive") for line in console)
    assert not any("Content Security Policy" in line for line in console)


@pytest.mark.long
@pytest.mark.parametrize("fault", ["none", "of another stream", "for publishing", "expired", "changed"])
def test_other_links_are_refused(page: Any, users: Site, fault: str) -> None:
    match fault:
        case "of another stream":
            token = link(users, "other")["token"]
        case "for publishing":
            token = link(users, "studio", kind="publish")["token"]
        case "expired":
            token = link(users, "studio", expires_s=1)["token"]
            time.sleep(1.1)
        case "changed":
            token = link(users, "studio")["token"][:-2] + "xx"
        case _:
            token = ""
    page.goto(f"{users.url}/obs/studio#token={token}")
    state_becomes(page, "denied")
    assert_empty(page)
