"""Microphone and devices of the studio in Chromium, with the real server: what is sent, heard, recorded, remembered."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.end_to_end.serving import Served
from tests.web.static.pages import until

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from tests.end_to_end.browser import CHROMIUM, go_live, page

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]

# The peak of the sound that the shown video has, over a second and a half: Chromium's microphone beeps twice a second.
PEAK = """async () => {
  const context = new AudioContext();
  await context.resume();
  const analyser = new AnalyserNode(context, { fftSize: 8192 }), samples = new Float32Array(8192);
  const tracks = document.querySelector('.stage video.shown')?.srcObject.getAudioTracks();
  if (!tracks?.length) return 0;
  context.createMediaStreamSource(new MediaStream(tracks)).connect(analyser);
  let peak = 0;
  for (let n = 0; n < 15; n++) {
    await new Promise((done) => setTimeout(done, 100));
    analyser.getFloatTimeDomainData(samples);
    peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), peak);
  }
  await context.close();
  return peak;
}"""
PACKETS = """async (connection) => {
  const found = { sent: 0, received: 0 };
  for (const report of (await (connection ?? mattebox.live.connection).getStats()).values()) {
    if (report.kind !== 'audio') continue;
    if (report.type === 'outbound-rtp') found.sent += report.packetsSent;
    if (report.type === 'inbound-rtp') found.received += report.packetsReceived;
  }
  return found;
}"""
LOUD = 0.05
MICROPHONE = "#tool-microphone"


@pytest.fixture(scope="module")
def studio(scene_server: Served) -> Iterator[Any]:
    """Live, with several cameras and the microphone off; the tests go on from one another.

    Chromium's second camera has a format that browsers cannot send, so the tests use the first and the third.
    """
    with page(None, cameras=3) as tab:
        tab.goto(scene_server.url)
        tab.evaluate("localStorage.setItem('mattebox.devices', JSON.stringify({ size: '640x360' }))")
        go_live(tab, scene_server.url)
        tab.evaluate("window.first = mattebox.live.connection")
        yield tab


def is_on(tab: Any) -> bool:
    return bool(tab.get_attribute(MICROPHONE, "aria-checked") == "true")


def packets(tab: Any) -> dict[str, int]:
    found: dict[str, int] = tab.evaluate(PACKETS)
    return found


def becomes_loud(tab: Any) -> None:
    peaks = [tab.evaluate(PEAK)]
    while peaks[-1] < LOUD and len(peaks) < 6:
        peaks.append(tab.evaluate(PEAK))
    assert peaks[-1] > LOUD, peaks


def still_connected(tab: Any) -> bool:
    """Whether more frames come back, on the connection that the studio began with."""
    frames = "(async () => (await mattebox.live.stats()).in?.framesDecoded ?? 0)()"
    before = tab.evaluate(frames)
    end_s = time.monotonic() + 10
    while tab.evaluate(frames) < before + 10:
        assert time.monotonic() < end_s, "no frames come back"
        time.sleep(0.1)
    return bool(tab.evaluate("mattebox.live.connection === first && mattebox.live.reconnects === 0"))


def note(tab: Any, text: str) -> None:
    tab.wait_for_selector(f"#note:has-text('{text}')")


def test_a_microphone_that_is_not_allowed_stays_off(scene_server: Served, scene: Path) -> None:
    """Before the tests with the shared tab: Playwright drives one browser at a time here."""
    with page(scene, allowed=False) as tab:
        tab.context.grant_permissions(["camera"])
        go_live(tab, scene_server.url)
        tab.click(MICROPHONE)
        note(tab, "The microphone stays off: your browser or operating system does not allow")
        assert not is_on(tab)
        assert packets(tab) == {"sent": 0, "received": 0}
        tab.context.grant_permissions(["camera", "microphone"])
        tab.click(MICROPHONE)
        becomes_loud(tab)


def test_no_sound_leaves_until_the_microphone_is_switched_on(studio: Any) -> None:
    studio.wait_for_timeout(1500)
    assert not is_on(studio)
    assert packets(studio) == {"sent": 0, "received": 0}
    assert studio.evaluate(PEAK) == 0
    assert still_connected(studio), "the video plays without sound"
    studio.keyboard.press("a")
    studio.wait_for_selector(f"{MICROPHONE}[aria-checked=true]:has-text('Microphone on')")
    becomes_loud(studio)
    until(studio, "document.querySelector('#devices [role=meter]').getAttribute('aria-valuenow') > 50")
    found = packets(studio)
    assert found["sent"] > 20
    assert found["received"] > 20
    assert still_connected(studio)
    assert studio.evaluate("[...document.querySelectorAll('#stage video')].every(video => video.muted)"), "no echo"


def test_the_recording_has_picture_and_sound(studio: Any, tmp_path: Path) -> None:
    studio.keyboard.press("r")
    studio.wait_for_selector("#recording:has-text('0:03')")
    with studio.expect_download() as waiting:
        studio.keyboard.press("r")
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    with av.open(str(path)) as file:
        times = [float(frame.time or 0) for frame in file.decode(video=0)]
    with av.open(str(path)) as file:
        sounds = [(float(frame.time or 0), np.abs(frame.to_ndarray()).max()) for frame in file.decode(audio=0)]
    print(f"{path.name}: picture {times[-1] - times[0]:.2f} s, sound {sounds[-1][0] - sounds[0][0]:.2f} s")
    assert 2 < times[-1] - times[0] < 6
    assert abs((times[-1] - times[0]) - (sounds[-1][0] - sounds[0][0])) < 0.5
    loud = [second for second, level in sounds if level > LOUD]
    assert len({int(2 * second) for second in loud}) >= 3, "beeps all along"


def test_switching_off_takes_effect_at_once(studio: Any) -> None:
    studio.evaluate("window.lines = mattebox.live.connection.getSenders().filter(s => s.track?.kind === 'audio')")
    studio.press(MICROPHONE, "Enter")
    until(studio, "lines.length === 1 && lines[0].track === null")  # nothing is sent any more
    studio.wait_for_timeout(200)  # a packet may have been on its way
    sent = packets(studio)["sent"]
    studio.wait_for_timeout(1000)
    assert packets(studio)["sent"] == sent
    assert not is_on(studio)
    assert studio.evaluate(PEAK) < LOUD
    assert studio.get_attribute("#devices [role=meter]", "aria-valuenow") == "0"
    assert still_connected(studio)


def test_another_camera_on_the_same_connection_and_after_a_reload(studio: Any, scene_server: Served) -> None:
    studio.click("#devices summary")
    names = studio.locator("#device-camera option").all_inner_texts()
    assert len(set(names)) == 3
    label = "document.getElementById('tile').querySelector('video').srcObject.getVideoTracks()[0].label"
    assert studio.evaluate(label) == names[0]
    studio.select_option("#device-camera", label=names[2])
    until(studio, f"{label} === '{names[2]}'")
    settings = "document.getElementById('tile').querySelector('video').srcObject.getVideoTracks()[0].getSettings()"
    assert studio.evaluate(f"{settings}.width") == 640
    studio.select_option("#device-size", "1280x720")
    studio.select_option("#device-rate", "15")
    until(studio, f"{settings}.width === 1280 && {settings}.frameRate === 15")
    studio.select_option("#device-size", "640x360")
    until(studio, f"{settings}.width === 640")
    assert still_connected(studio)
    studio.click(MICROPHONE)
    until(studio, "document.querySelectorAll('#device-microphone option').length > 1")
    microphones = studio.locator("#device-microphone option").all_inner_texts()
    studio.select_option("#device-microphone", label=microphones[-1])
    until(studio, f"mattebox.live.sound?.label === '{microphones[-1]}'")
    assert still_connected(studio)
    go_live(studio, scene_server.url)
    studio.evaluate("window.first = mattebox.live.connection")
    until(studio, f"{label} === '{names[2]}'")
    assert not is_on(studio), "that the microphone was on is not remembered"
    assert studio.input_value("#device-size") == "640x360"
    assert studio.input_value("#device-rate") == "15"
    studio.keyboard.press("a")
    until(studio, f"mattebox.live.sound?.label === '{microphones[-1]}'")
    studio.keyboard.press("a")


def test_an_unplugged_camera_is_replaced_by_another(studio: Any) -> None:
    tile = "document.getElementById('tile').querySelector('video').srcObject.getVideoTracks()[0]"
    gone = studio.evaluate(f"{tile}.label")
    studio.evaluate(f"(() => {{ const track = {tile}; track.stop(); track.dispatchEvent(new Event('ended')) }})()")
    note(studio, f"{gone} was disconnected.")
    until(studio, f"{tile}.label !== '{gone}' && {tile}.readyState === 'live'")
    assert still_connected(studio)


def test_an_unplugged_microphone_is_replaced_by_another(studio: Any) -> None:
    studio.keyboard.press("a")
    until(studio, "mattebox.live.sound !== null")
    gone = studio.evaluate("mattebox.live.sound.label")
    studio.evaluate(
        "(() => { const { sound } = mattebox.live; sound.stop(); sound.dispatchEvent(new Event('ended')) })()"
    )
    note(studio, f"{gone} was disconnected.")
    until(studio, f"mattebox.live.sound.label !== '{gone}' && mattebox.live.sound.readyState === 'live'")
    assert is_on(studio)
    becomes_loud(studio)
    studio.keyboard.press("a")


def test_viewers_see_before_they_hear(studio: Any) -> None:
    studio.click("#share-open")
    until(studio, "document.getElementById('share-view').value")
    studio.click("#share-go")
    studio.wait_for_selector("#share-state:has-text('On air')", timeout=20_000)
    address = studio.input_value("#share-view")
    studio.click("#share-close")
    viewer = studio.context.new_page()
    viewer.goto(address)
    viewer.wait_for_selector(".stage .shown", timeout=20_000)
    viewer.click("#sound")
    before = viewer.evaluate("document.querySelector('.stage video.shown').currentTime")
    assert viewer.evaluate(PEAK) == 0
    assert viewer.evaluate("document.querySelector('.stage video.shown').currentTime") > before + 0.5, (
        "it plays without sound"
    )
    studio.keyboard.press("a")
    becomes_loud(viewer)
    studio.wait_for_selector("#status[data-state=live]", timeout=20_000)
    becomes_loud(studio)
    studio.keyboard.press("a")
    viewer.wait_for_timeout(1000)
    assert viewer.evaluate(PEAK) < LOUD
    assert viewer.evaluate("document.querySelector('.stage video.shown').currentTime") > before + 3
    viewer.close()
    studio.click("#share-open")
    studio.click("#share-go")
    studio.wait_for_selector("#share-state:has-text('Nobody can see you.')")
    studio.click("#share-close")


def test_stopping_switches_the_microphone_off(studio: Any) -> None:
    studio.wait_for_selector("#status[data-state=live]", timeout=20_000)
    studio.keyboard.press("a")
    until(studio, "mattebox.live.sound !== null")
    studio.evaluate("window.sound = mattebox.live.sound")
    studio.click("#stop")
    studio.wait_for_selector("#status[data-state=idle]")
    assert studio.evaluate("sound.readyState") == "ended"
    assert not is_on(studio)
    assert studio.is_disabled(MICROPHONE)
