"""A new source or sink needs only one file and one line: invented ones are opened, run and listed."""

from io import StringIO
from pathlib import Path

import pytest

from stream.errors import MatteboxError, UnsupportedOutput, UsageError
from stream.progress import LineReporter
from stream.pump import pump
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks import SINKS, open_sink, sink_address
from stream.sources import SOURCES, is_live, open_source, source_address
from stream.sources.base import SourceOptions
from tests.fakes import Unchanged
from tests.media import read
from workers.runs.file import FileRun, run_file
from workers.runs.stream import StreamRun, record

BEACON = '''
"""A beacon: a live source that never ends and shows one colour."""

import threading
import time
from collections import Counter
from dataclasses import replace

from stream.errors import UsageError
from stream.slot import Slot
from stream.sources.base import SourceState
from stream.sources.pattern import PatternSource

RATE = 50


class BeaconSource:
    live = True
    takes = frozenset({"size", "duration_s"})

    @classmethod
    def from_address(cls, address, options, settings):
        address.check_host()
        return cls(options)

    def __init__(self, options):
        self.warnings = [("seen", "a beacon was seen")]
        self.slot, self.dropped, self.state = Slot(), Counter(), SourceState("live")
        self._options, self._ending = options, threading.Event()
        self._pattern = PatternSource(*options.size, 10_000)
        self.info = replace(self._pattern.info, frames=None, duration_s=None)

    def __iter__(self):
        self._options.on_state(self.state)
        for frame in self._pattern:
            if self._ending.wait(1 / RATE) or frame.time_s >= self._options.duration_s:
                return
            yield replace(frame, arrived_s=time.monotonic())

    def end(self):
        self._ending.set()

    def close(self):
        self.end()
'''
TALLY = '''
"""A tally: a sink that records the number and the size of the frames."""

from pathlib import Path

from stream.errors import UnsupportedOutput
from stream.picture.frames import Frame


class TallySink:
    @classmethod
    def from_address(cls, address, options, settings):
        if options.wants_alpha:
            raise UnsupportedOutput("a tally cannot be transparent")
        return cls(Path(address.name))

    def __init__(self, path):
        self.warnings, self._path, self._count = [], path, 0

    def open(self, info):
        self._size = f"{info.width}x{info.height}"

    def write(self, item):
        self._count += isinstance(item, Frame)

    def close(self):
        self._path.write_text(f"{self._count} of {self._size}")

    def abort(self):
        self._path.unlink(missing_ok=True)
'''
OPTIONS = Options.read(engine="chroma", key="#00c83c", background="color:#0000ff")
SETTINGS = Settings()


@pytest.fixture(autouse=True)
def _registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add one file and one line for each."""
    (tmp_path / "made_up_beacon.py").write_text(BEACON)
    (tmp_path / "made_up_tally.py").write_text(TALLY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(SOURCES, "beacon", "made_up_beacon:BeaconSource")
    monkeypatch.setitem(SINKS, "tally", "made_up_tally:TallySink")


def test_a_new_source_and_sink_are_opened_by_address(tmp_path: Path) -> None:
    address = source_address("beacon://u:hush@lighthouse/1")
    states: list[object] = []
    requested = SourceOptions(size=(64, 48), duration_s=0.1, on_state=states.append)
    sink = open_sink(sink_address(f"tally:{tmp_path / 'out'}"), Options(), SETTINGS)
    pump(open_source(address, requested, SETTINGS), Unchanged(), sink)
    assert (tmp_path / "out").read_text().endswith(" of 64x48")
    assert is_live(address)
    assert [str(state) for state in states] == ["live"]


def test_a_new_live_source_is_recorded(tmp_path: Path) -> None:
    log, out = StringIO(), tmp_path / "out.mkv"
    task = StreamRun("beacon://u:hush@lighthouse/1", str(out), OPTIONS, duration_s=0.4, size=(64, 48))
    report = record(task, SETTINGS, LineReporter(log))
    assert len(read(out)) == report.frames > 0
    assert (report.input, report.width, report.height) == ("beacon://lighthouse", 64, 48)
    assert ("seen", "a beacon was seen") in report.warnings
    assert "source live" in log.getvalue()
    assert "hush" not in log.getvalue() + repr(report) + repr(task)


def test_a_live_source_is_written_to_a_new_sink(tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = record(
        StreamRun("beacon://lighthouse", f"tally:{out}", OPTIONS, 0.3, (64, 48)), SETTINGS, LineReporter(StringIO())
    )
    assert out.read_text() == f"{report.frames} of 64x48"
    assert report.output == f"tally:{out}"


def test_a_recording_is_written_to_a_new_sink(tmp_path: Path) -> None:
    out = tmp_path / "out"
    output = sink_address(f"tally:{out}")
    task = FileRun(source_address("pattern:screen"), output, OPTIONS, end_s=0.2, size=(64, 48))
    assert run_file(task, SETTINGS, LineReporter(StringIO())).frames == 6
    assert out.read_text() == "6 of 64x48"


def test_unsupported_options_are_refused(tmp_path: Path) -> None:
    beacon, tally = source_address("beacon://lighthouse"), sink_address(f"tally:{tmp_path / 'out'}")
    with pytest.raises(UsageError, match="beacon:// does not support a start or an end"):
        open_source(beacon, SourceOptions(start_s=1, end_s=2), SETTINGS)
    with pytest.raises(UsageError, match="pattern:// does not support a duration"):
        open_source(source_address("pattern:"), SourceOptions(duration_s=1), SETTINGS)
    with pytest.raises(UsageError, match="beacon:// is live and does not end"):
        run_file(FileRun(beacon, tally, OPTIONS), SETTINGS, LineReporter(StringIO()))
    with pytest.raises(UnsupportedOutput, match="a tally cannot be transparent"):
        open_sink(tally, Options.read(background="transparent"), SETTINGS)


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        ("nowhere://u:hush@x", "o.mkv", r"live: rtsp://, .*, camera:, .*, beacon://"),
        ("film.mp4", "o.mkv", "film.mp4 does not exist"),
        ("beacon://x", "nowhere://u:hush@x", r"such as out.mkv, or rtsp://, .*, tally://"),
    ],
)
def test_an_unsupported_address_is_refused_with_the_supported_schemes(source: str, output: str, message: str) -> None:
    with pytest.raises(MatteboxError, match=message) as refused:
        record(StreamRun(source, output, OPTIONS, size=(64, 48)), SETTINGS, LineReporter(StringIO()))
    assert "hush" not in str(refused.value)


def test_an_unknown_source_is_refused_with_the_supported_schemes() -> None:
    with pytest.raises(UsageError, match=r"file://, pattern://, live: rtsp://, .*, camera:, .*, beacon://"):
        open_source(source_address("nowhere://u:hush@x"), SourceOptions(), SETTINGS)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = TALLY.replace("return cls(", "import made_up_driver\n        return cls(")
    (tmp_path / "made_up_device.py").write_text(lines)
    monkeypatch.setitem(SINKS, "device", "made_up_device:TallySink")
    with pytest.raises(UsageError, match="device:// needs made_up_driver, which is not installed"):
        open_sink(sink_address("device:0"), Options(), SETTINGS)
