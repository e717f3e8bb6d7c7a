"""The studio's microphone switch and choice of devices. `tests/end_to_end/test_studio_sound.py` listens."""

from typing import Any

import pytest

from tests.web.running_site import Site
from tests.web.static.pages import opened, state, until

SENT = """async () => {
  const reports = [...(await mattebox.live.connection.getStats()).values()];
  return reports.filter(r => r.kind === 'audio' && r.type === 'outbound-rtp').reduce((n, r) => n + r.packetsSent, 0);
}"""
# Devices cannot be plugged in here, and Chromium's microphone cannot be in use: these replace the browser's calls.
CONNECTED = """devices => {
  navigator.mediaDevices.enumerateDevices = async () =>
    devices.map(([kind, deviceId, label]) => ({ kind, deviceId, label, groupId: '' }));
  navigator.mediaDevices.dispatchEvent(new Event('devicechange'));
}"""
FAILS = "name => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', name) } }"
OPTIONS = "[...document.querySelectorAll('#device-camera option')].map(option => option.text).join()"


@pytest.mark.long
def test_the_microphone_is_off_until_switched_on(page: Any, video_site: Site) -> None:
    page.goto(video_site.url)
    assert page.is_disabled("#tool-microphone"), "the camera is closed"
    page.evaluate("localStorage.clear()")
    opened(page, video_site)
    microphone = page.locator("#tool-microphone")
    assert microphone.inner_text() == "Microphone off"
    assert microphone.get_attribute("aria-checked") == "false"
    assert page.evaluate(SENT) == 0
    page.keyboard.press("a")
    page.wait_for_selector("#tool-microphone[aria-checked=true]:has-text('Microphone on')")
    until(page, f"({SENT})().then((sent) => sent > 0)")
    microphone.click()
    assert microphone.get_attribute("aria-checked") == "false"
    page.wait_for_timeout(200)  # a packet may have been on its way
    sent = page.evaluate(SENT)
    page.wait_for_timeout(300)
    assert page.evaluate(SENT) == sent
    for name, text in (
        ("NotAllowedError", "does not allow this page to use it"),
        ("NotFoundError", "none was found"),
        ("NotReadableError", "another program is using it"),
    ):
        page.evaluate(FAILS, name)
        microphone.click()
        page.wait_for_selector(f"#note:has-text('The microphone stays off:'):has-text('{text}')")
        assert microphone.get_attribute("aria-checked") == "false"
    state(page, "live")


def test_the_lists_follow_devices_that_are_plugged_in_and_unplugged(page: Any, site: Site) -> None:
    page.goto(site.url)
    state(page, "idle")
    one, two = ["videoinput", "1", "Desk"], ["videoinput", "2", "Window"]
    page.evaluate(CONNECTED, [one, two, ["audioinput", "3", "Headset"]])
    until(page, f"{OPTIONS} === 'Desk,Window'")
    page.click("#devices summary")
    page.select_option("#device-camera", label="Window")
    page.evaluate(CONNECTED, [one])
    until(page, f"{OPTIONS} === 'Desk'")
    page.evaluate(CONNECTED, [one, two])
    until(page, f"{OPTIONS} === 'Desk,Window'")
    assert page.input_value("#device-camera") == "2", "the choice is kept while it is away"
    page.evaluate(CONNECTED, [one, ["videoinput", "9", "Window"]])
    until(page, "document.getElementById('device-camera').value === '9'")  # its id has changed, not its name
    page.evaluate(CONNECTED, [])
    until(page, f"{OPTIONS} === 'No camera was found'")
    assert page.is_disabled("#device-camera")


@pytest.mark.long
@pytest.mark.parametrize(("peak", "level"), [(1.0, 1.0), (0.1, 2 / 3), (0.01, 1 / 3), (0.001, 0.0), (0.0, 0.0)])
def test_the_level_is_in_decibels(studio: Any, peak: float, level: float) -> None:
    found = studio.evaluate(
        "async peak => (await import('/static/studio/level.js')).level(Float32Array.of(0, -peak, peak / 2))", peak
    )
    assert found == pytest.approx(level, abs=0.001)
