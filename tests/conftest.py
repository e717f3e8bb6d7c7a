import os
import signal
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

import workers  # noqa: F401 - sets environment variables that torch reads on import
from stream.settings import Settings, settings
from tests.mounts import mounted
from tests.patient import patient
from tests.waiting import PATIENCE_S
from tests.workers.models.birefnet import deterministic

hypothesis.settings.register_profile("tests", deadline=None)  # a busy machine would miss its 200 ms
hypothesis.settings.load_profile("tests")

CLOCKED = (
    "stream/rtc/test_whep_source", "workers/live/test_streams", "workers/runs/test_remote_matting",
    "end_to_end/", "web/static/test_page", "web/static/test_tools",
    "web/static/test_devices", "web/test_server", "stream/rtc/test_chromium",
    "stream/rtc/test_encoder", "stream/rtc/test_ice", "stream/rtc/test_live_path", "stream/rtc/test_peer",
    "stream/rtc/test_dtls_overrides", "stream/rtc/test_odd_packets", "stream/rtc/test_source",
    "stream/sources/live/test_network", "stream/records/test_store_faults", "stream/serve/",
    "stream/test_loops", "stream/test_pump", "workers/files/test_worker",
    "workers/live/test_device_thread", "workers/live/test_matte", "workers/live/test_worker",
    "workers/live/test_feeds", "workers/test_lifecycle", "stream/rtc/test_lip_sync",
    "stream/rtc/test_whip_client", "stream/srt/test_connection", "stream/srt/test_live", "workers/runs/test_stream",
    "test_new_engine", "stream/sinks/live/", "commands/test_stream", "commands/test_camera",
    "stream/sources/live/test_played", "stream/sources/live/test_idle", "stream/sinks/cameras/test_pipewire",
)  # fmt: skip
"""Modules with timing requirements, which other load on the machine would disturb."""

DEMANDING = (
    "end_to_end/", "stream/rtc/test_chromium", "stream/rtc/test_encoder", "stream/rtc/test_lip_sync",
    "stream/rtc/test_live_path", "workers/live/test_device_thread", "workers/live/test_matte",
)  # fmt: skip
"""Those of them that process much live video: one at a time, beside others that mostly wait."""

BUSY = ("web/static/", "end_to_end/test_start", "end_to_end/test_apart", "test_new_engine", "workers/files/")
"""Those that load pages in a browser, start many programs or process files: likewise one at a time."""

_GROUPS = {"busy": BUSY, "demanding": DEMANDING}  # the first that matches

PICTURES = Path(__file__).parent.parent / "test-pictures"  # images for people to look at after a run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if PICTURES.is_dir():
        terminalreporter.write_line(f"pictures: {', '.join(str(path) for path in sorted(PICTURES.iterdir()))}")


def pytest_configure(config: pytest.Config) -> None:
    """Remove the developer's mattebox settings from the environment, except where weights are stored.

    Not in a fixture, because test modules create `Settings()` while they are collected.
    """
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    for name in [n for n in os.environ if n.upper().startswith("MATTEBOX_") or n.upper() == "REDIS_URL"]:
        if name.upper() != "MATTEBOX_CACHE_DIR":
            patch.delenv(name)
    patch.setenv("MATTEBOX_RUNTIME", "onnxruntime")  # whatever was measured here: tests of runtimes choose their own
    settings.cache_clear()
    # A background shell job ignores SIGINT, and so would every program that the tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # likewise under nohup


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Lengthen the product's time limits, unless the test is about time."""
    if any(map(item.get_closest_marker, ("clocked", "slow"))):
        return (yield)
    with patient():
        return (yield)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import only modules with tests of the part that runs: importing all takes longer than many tests."""
    if collection_path.suffix != ".py" or not collection_path.name.startswith("test_"):
        return None
    part = config.option.markexpr
    if "or" in part.split():
        return None
    wanted = {mark for mark in ("clocked", "long", "slow", "alone") if mark in part.replace(f"not {mark}", "")}
    if collection_path.relative_to(Path(__file__).parent).as_posix().startswith(CLOCKED):
        if "not clocked" in part:
            return True
        wanted.discard("clocked")
    text = collection_path.read_text() if wanted else ""
    return None if all(mark in text for mark in wanted) else True


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist, which reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    for item in items:
        path = item.path.relative_to(tests).as_posix()
        if path.startswith(CLOCKED):
            item.add_marker(pytest.mark.clocked)
        item.add_marker(pytest.mark.xdist_group(_group(path)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Undo pytest-xdist's addition of the group to the name: `--last-failed` would not find the test again."""
    if hasattr(report, "node"):  # it came from one of pytest-xdist's processes
        path = report.nodeid.partition("::")[0].removeprefix("tests/")
        report.nodeid = report.nodeid.removesuffix(f"@{_group(path)}")


def _group(path: str) -> str:
    """Tests of a group run one after another. A module is in one group, so that its fixtures are set up once."""
    return next((name for name, modules in _GROUPS.items() if path.startswith(modules)), path)


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """aioice leaves out 127.0.0.1; this makes it the only address of WebRTC clients in tests."""
    import aioice.ice  # not at the top: `make gpu-check` runs where it is not installed

    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


@pytest.fixture(params=[-3600.0, -6.0, 6.0, 3600.0])
def wrong_clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """This process's clock is wrong by so many seconds; that of Redis, another process, is right."""
    right, ahead_s = time.time, float(request.param)
    monkeypatch.setattr(time, "time", lambda: right() + ahead_s)
    return ahead_s


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    with mounted(tmp_path / "disk", "size=2m") as folder:
        yield folder


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """An S3-compatible server on loopback."""
    pytest.importorskip("obstore")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An empty bucket."""
    import httpx

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    httpx.post(f"{s3_url}/moto-api/reset", timeout=PATIENCE_S).raise_for_status()
    httpx.put(f"{s3_url}/films", timeout=PATIENCE_S).raise_for_status()
    return Settings(storage="s3://films/of/mattebox", s3_endpoint=s3_url)


@pytest.fixture(scope="session")
def birefnet_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the Swin-T network with generated weights, in half precision like the published ones."""
    numpy = pytest.importorskip("safetensors.numpy")
    tensors = {key: value.astype("float16") for key, value in deterministic.state_dict("lite").items()}
    path = tmp_path_factory.mktemp("weights") / "lite.safetensors"
    numpy.save_file(tensors, path)
    return path


@pytest.fixture
def scene_chooser() -> Iterator[None]:
    """The chooser that knows the drawn scene of two moving subjects is among the choosers."""
    from tests.workers.choosers import scene  # needs packages that a machine with a GPU may lack

    with scene.registered():
        yield
