import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from stream.log import JsonLines, OncePerSecond, configure
from stream.progress import JsonReporter, LineReporter, Report, Reporter, closing_line, progress_line
from stream.sources.pattern import PatternSource
from tests.media import ROOT


def test_json_lines_hold_one_object_each() -> None:
    record = logging.LogRecord("a.b", logging.WARNING, __file__, 1, "two\nlines %s", ("x",), None)
    line = JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == "two\nlines x"


def test_repeated_messages_are_logged_once_per_second_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    limiter = OncePerSecond(logging.getLogger("limited"))
    for n in range(5):
        limiter.warning("frame %d", n)
    assert [r.getMessage() for r in caplog.records] == ["frame 0"]
    limiter._next_s = 0.0  # as if a second had passed
    limiter.warning("frame %d", 9)
    assert caplog.records[-1].getMessage() == "frame 9 (4 more like it)"


def test_verbosity_sets_the_level() -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        for verbosity, expected in ((0, logging.WARNING), (1, logging.INFO), (9, logging.DEBUG)):
            configure(verbosity, as_json=False)
            assert root.level == expected
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


REPORT = Report("i.mp4", "o.mp4", "rvm", "cpu", 30, 1.5, 20.0, 0.2, 640, 480, [("x", "careful")])
FRAME = PatternSource(16, 16, 1).frame(0)


def test_the_json_reporter_writes_one_event_per_line() -> None:
    out = io.StringIO()
    reporter = JsonReporter(out)
    reporter.start(PatternSource(16, 16, 30).info, {"engine": "rvm"})
    reporter.message("hello")
    reporter.tick(FRAME)
    reporter.done(REPORT)
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [e["event"] for e in events] == ["start", "message", "done"]
    assert events[-1]["warnings"][0]["message"] == "careful"


@pytest.mark.parametrize("kind", [JsonReporter, LineReporter])
def test_a_line_is_written_in_one_call(kind: Callable[[io.StringIO], Reporter]) -> None:
    """Otherwise the output of another thread could come between a line and its end."""

    class Pieces(io.StringIO):
        def write(self, text: str) -> int:
            pieces.append(text)
            return len(text)

    pieces: list[str] = []
    kind(Pieces()).message("hello")
    (piece,) = pieces
    assert piece.endswith("\n")


def test_the_line_reporter_writes_plain_lines() -> None:
    out = io.StringIO()
    reporter = LineReporter(out)
    reporter.start(PatternSource(16, 16, 30).info, {})
    for _ in range(3):
        reporter.tick(FRAME)
    reporter.done(REPORT)
    assert out.getvalue() == "o.mp4: 30 frames in 1.5 s (20.0 fps)\nwarning: careful\n"
    assert "\r" not in out.getvalue()


def test_closing_and_progress_lines() -> None:
    assert closing_line(replace(REPORT, warnings=[])) == "o.mp4: 30 frames in 1.5 s (20.0 fps)"
    figures = {"frames": 12, "total": 120, "fps": 24.0, "eta_s": 4.5}
    assert progress_line(figures) == "12/120 frames, 24.0 fps, 0:04 left"
    assert progress_line(figures | {"total": None, "eta_s": None}) == "12 frames, 24.0 fps"


def test_a_thread_that_fails_is_logged() -> None:
    code = (
        "import threading; from stream.log import configure; configure(0, True);"
        "thread = threading.Thread(target=lambda: 1 / 0, name='divider'); thread.start(); thread.join()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["message"] == "the thread 'divider' failed"
    assert "ZeroDivisionError" in json.loads(line)["exception"]
