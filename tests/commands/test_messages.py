"""What a user reads after a mistake: one line that names the option and suggests what was probably meant."""

import os
import subprocess
import threading
from collections.abc import Sequence
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from commands import app
from tests.media import ROOT, TALK, command


def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object) -> tuple[int, str]:
    """Run a command in this process. Returns its exit code and the one line that it prints."""
    monkeypatch.setattr("signal.signal", lambda *_: None)  # the handlers of the test run stay
    monkeypatch.setattr("sys.argv", ["mattebox", *map(str, words)])
    code = app.run()
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ")
    return code, line.removeprefix("error: ")


@pytest.mark.parametrize(
    ("words", "end"),
    [
        (["--background", "gren"], "none; did you mean green?"),
        (["--background", "#ff0000"], "did you mean color:#ff0000?"),
        (["--background", "mars.jpg"], "for a file write image:mars.jpg or video:mars.jpg"),
        (["--background", "blurr:0.5"], "did you mean blur?"),
        (["--engine", "rmv"], "did you mean rvm?"),
        (["--engine", "RVM"], "did you mean rvm?"),
        (["--view", "mate"], "did you mean matte?"),
        (["--temporal", "of"], "did you mean off?"),
        (["--foreground", "kep"], "foreground: 'kep' is not one of: auto, estimate, keep; did you mean keep?"),
        (["--refine", "onn"], "did you mean on?"),
        (["--strength", "7"], "--strength': it should be less than or equal to 1"),
        (["--key"], "quote the colour ('#00ff00'), or leave out the #"),
        (["--start", "abc"], "--start: 'abc' is not a time; write seconds (90.5) or h:mm:ss (0:01:30.5)"),
        (["--end", "abc"], "--end: 'abc' is not a time; write seconds (90.5) or h:mm:ss (0:01:30.5)"),
    ],
)
def test_misspelled_values_get_a_suggestion(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: Sequence[str], end: str
) -> None:
    code, line = printed(capsys, monkeypatch, "file", TALK, "-o", "o.mkv", *words)
    assert code == 2
    assert line.endswith(end), line
    assert "Value error" not in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["models", "pull", "selfi"], "did you mean selfie?"),
        (["bench", "live", "nonsense"], "'nonsense' is not a server address"),
        (["bench", "feed", "--size", "640x480,1280x720"], "'640x480,1280x720' is not one size, such as 1280x720"),
        (["bench", "jobs", "--size", "640x480,1280x720"], "'640x480,1280x720' is not one size, such as 1280x720"),
        (["serve", "--port", "70000"], "--port': it should be less than or equal to 65535"),
        (["serve", "--tls", "maybe"], "--tls maybe: maybe is not a file; use auto, off or CERT,KEY"),
        (["jobs", "submit", TALK, "--result", "mp5"], "did you mean mp4?"),
    ],
)
def test_other_commands(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: Sequence[str], message: str
) -> None:
    code, line = printed(capsys, monkeypatch, *words)
    assert code == 2
    assert message in line


@pytest.mark.long
def test_servers_that_are_not_mattebox(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            host = f"127.0.0.1:{server.server_port}"
            found = printed(capsys, monkeypatch, "jobs", "list", "--server", f"http://{host}")
            assert found == (1, "the server: HTTP status 404; is it a Mattebox server?")
            code, line = printed(capsys, monkeypatch, "jobs", "list", "--server", f"https://{host}")
            assert code == 1
            assert f"{host} does not answer over HTTPS" in line
            assert line.endswith(f"use http://{host}")
            found = printed(capsys, monkeypatch, "bench", "live", f"http://{host}")
            assert found == (1, "the server: HTTP status 404; is it a Mattebox server?")
            code, line = printed(capsys, monkeypatch, "serve", "--port", server.server_port)
            assert code == 2
            assert "is mattebox already running? Choose another --port" in line
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.long
def test_names_that_are_not_ascii_are_printed_in_any_locale(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name not in ("HOME", "LANG", "LC_ALL")}
    plain = env | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    line = command("file", tmp_path / "männer.mp4", "-o", tmp_path / "ö.mp4")
    done = subprocess.run(line, cwd=ROOT, env=plain, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"nner.mp4 does not exist" in done.stderr
