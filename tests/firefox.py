"""Debian's Firefox, headless, driven by WebDriver BiDi over its own websocket.

`Tab` has the methods of Playwright's page that the tests use, so functions such as `go_live` work with both. Playwright
itself drives its own builds of Firefox, which would have to be downloaded; of Debian's it asks for commands that this
Firefox lacks.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from websockets.sync.client import connect
from websockets.sync.connection import Connection

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
_START_S, _REPLY_S, _POLL_S = 60.0, 60.0, 0.05
_PREFERENCES: dict[str, bool | int | str] = {
    "media.navigator.streams.fake": True,  # a picture of one colour that changes, and a beep
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "media.peerconnection.ice.loopback": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    # nothing leaves this machine
    "network.proxy.type": 0,
    "network.dns.disabled": True,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "datareporting.policy.dataSubmissionEnabled": False,
    "media.gmp-manager.updateEnabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "browser.shell.checkDefaultBrowser": False,
}
# Resolves with the value of a script, as Playwright's `evaluate` does: a function is called with the argument.
_EVALUATE = """(async () => {{
  const value = ({script}
  );
  return JSON.stringify(await (typeof value === "function" ? value({argument}) : value)) ?? "null";
}})()"""
# The element's centre in the viewport, or null while it cannot be clicked.
_PLACE = """(selector) => {
  const found = document.querySelector(selector);
  if (!found || found.disabled) return null;
  const target = found.matches("input[type=radio], input[type=checkbox]") && found.labels[0] || found;
  target.scrollIntoView({ block: "center", behavior: "instant" });
  const box = target.getBoundingClientRect();
  const [x, y] = [box.left + box.width / 2, box.top + box.height / 2].map(Math.round);
  const top = document.elementFromPoint(x, y);
  return box.width && (target.contains(top) || top?.closest("label")?.control === found) ? [x, y] : null;
}"""
_VISIBLE = "(selector) => [...document.querySelectorAll(selector)].some((found) => found.checkVisibility())"


class FirefoxError(Exception):
    """Firefox could not do what a command asked for, or a script raised an error."""


class _Session:
    """The connection. errors: of the pages' scripts, in order."""

    def __init__(self, socket: Connection) -> None:
        self._socket, self._numbers = socket, count(1)
        self.errors: list[str] = []
        self.command("session.new", capabilities={})
        self.command("session.subscribe", events=["log.entryAdded"])

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command of the protocol. Raises FirefoxError."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (message := json.loads(self._socket.recv(_REPLY_S))).get("id") != number:
            self._record(message)
        if message["type"] == "error":
            raise FirefoxError(f"{method}: {message['message']}")
        result: dict[str, Any] = message["result"]
        return result

    def _record(self, event: dict[str, Any]) -> None:
        entry = event.get("params", {})
        if event.get("method") == "log.entryAdded" and (entry["type"], entry["level"]) == ("javascript", "error"):
            self.errors.append(entry["text"])


class Tab:
    """A tab or window of Firefox. Time limits are in milliseconds, as in Playwright."""

    def __init__(self, session: _Session, context: str) -> None:
        self._session, self._context = session, context

    def open(self) -> "Tab":
        """Another window, in front of this one."""
        return Tab(self._session, self._session.command("browsingContext.create", type="window")["context"])

    def close(self) -> None:
        self._tab("browsingContext.close")

    def set_viewport(self, width: int, height: int) -> None:
        self._tab("browsingContext.setViewport", viewport={"width": width, "height": height})

    def goto(self, url: str) -> None:
        self._tab("browsingContext.navigate", url=url, wait="complete")

    def reload(self) -> None:
        self._tab("browsingContext.reload", wait="complete")

    def evaluate(self, script: str, argument: Any = None) -> Any:
        """The value of an expression, or of a call of a function, awaited. Values are JSON. Raises FirefoxError."""
        expression = _EVALUATE.format(script=script, argument=json.dumps(argument))
        target = {"context": self._context}
        done = self._session.command("script.evaluate", expression=expression, target=target, awaitPromise=True)
        if done["type"] == "exception":
            raise FirefoxError(done["exceptionDetails"]["text"])
        return json.loads(done["result"]["value"])

    def wait_for_function(self, script: str, argument: Any = None, timeout: float = 30_000) -> Any:
        """Evaluate until the value is true, and return it."""
        end_s = time.monotonic() + timeout / 1000
        while not (value := self.evaluate(script, argument)):
            assert time.monotonic() < end_s, f"never: {script} {argument or ''}; errors: {self._session.errors}"
            time.sleep(_POLL_S)
        return value

    def wait_for_selector(self, selector: str, timeout: float = 30_000) -> None:
        """Wait until an element that the CSS selector matches is visible."""
        self.wait_for_function(_VISIBLE, selector, timeout)

    def wait_for_timeout(self, milliseconds: float) -> None:
        time.sleep(milliseconds / 1000)

    def click(self, selector: str, timeout: float = 30_000) -> None:
        """Click the first element that the selector matches, with the mouse, once it is enabled and not covered."""
        x, y = self.wait_for_function(_PLACE, selector, timeout)
        moves = [{"type": "pointerMove", "x": x, "y": y}]
        moves += [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self._tab("input.performActions", actions=[{"type": "pointer", "id": "mouse", "actions": moves}])

    def check(self, selector: str) -> None:
        """Click a radio button or check box, unless it is checked."""
        if not self.evaluate("(selector) => document.querySelector(selector)?.checked", selector):
            self.click(selector)
            self.wait_for_function("(selector) => document.querySelector(selector).checked", selector)

    def press(self, key: str) -> None:
        """Press and release one key."""
        keys = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self._tab("input.performActions", actions=[{"type": "key", "id": "keyboard", "actions": keys}])

    def set_input_files(self, selector: str, files: list[Path]) -> None:
        locator = {"type": "css", "value": selector}
        (node,) = self._tab("browsingContext.locateNodes", locator=locator, maxNodeCount=1)["nodes"]
        element = {"sharedId": node["sharedId"]}
        self._tab("input.setFiles", element=element, files=[str(path) for path in files])

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._tab("browsingContext.captureScreenshot")["data"]))

    def _tab(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._session.command(method, context=self._context, **parameters)


@contextmanager
def firefox(profile: Path, preferences: Mapping[str, bool] | None = None) -> Iterator[Tab]:
    """A tab of a Firefox with a new profile in the folder `profile`. A script error in the page fails the test.

    preferences: further ones, as in about:config.
    """
    chosen = {**_PREFERENCES, **(preferences or {})}
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in chosen.items()]
    (profile / "user.js").write_text("\n".join(lines))
    assert FIREFOX
    line = [FIREFOX, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
    log = profile / "firefox.log"
    with log.open("wb") as output:
        home = os.environ | {"HOME": str(profile)}
        process = subprocess.Popen(line, stdout=output, stderr=output, env=home, start_new_session=True)
    try:
        with connect(f"{_address(process, log)}/session", max_size=None, proxy=None) as socket:
            session = _Session(socket)
            tab = Tab(session, session.command("browsingContext.getTree")["contexts"][0]["context"])
            tab.set_viewport(1280, 800)
            yield tab
            assert not session.errors
    finally:
        process.terminate()  # after which it ends its other processes
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """The websocket's address, once Firefox has written it to its log."""
    end_s = time.monotonic() + _START_S
    while not (found := re.search(r"WebDriver BiDi listening on (ws://\S+)", log.read_text())):
        assert process.poll() is None, f"Firefox ended: {log.read_text()}"
        assert time.monotonic() < end_s, f"Firefox did not start: {log.read_text()}"
        time.sleep(_POLL_S)
    return found[1]
