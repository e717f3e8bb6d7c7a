"""Every task and thread is started where an exception that ends it is seen: by `stream/loops.py`, or as listed here."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("stream", "web", "workers", "commands")
STARTERS = {
    "create_task", "ensure_future", "run_coroutine_threadsafe", "TaskGroup", "Task",
    "Thread", "Timer", "start_new_thread",
}  # fmt: skip
SEEN = {
    "stream/loops.py:start": "logged when it ends",
    "stream/records/redis_poll.py:poll": "awaited, or cancelled",
    "stream/records/redis_cluster.py:SlotMaster.discover_master": "raised there",
    "stream/records/redis_check.py:guarded": "raised there",
    "stream/serve/child.py:Child.ended": "raised there",
    "stream/serve/child.py:Child.kill": "only waits for the end of a process",
    "stream/serve/supervise.py:Supervisor._start": "raised by `_until_stopping`",
    "stream/serve/supervise.py:Supervisor._until_stopping": "raised there",
    "stream/serve/supervise.py:Supervisor._stop_all": "cancelled there; everything is killed next",
    "stream/pump.py:_Flow.__init__": "raised in the thread that calls `pump`",
    "stream/sources/live/connection.py:Connection.start": "the reason of the connection's end",
    "stream/sources/live/connections.py:Connections.__init__": "logged; the source connects again",
    "stream/rtc/whep_source.py:WhepConnection.start": "the reason of the connection's end",
    "stream/rtc/whep_source.py:WhepConnection._session": "logged; the connection ends",
    "stream/rtc/whip_output.py:WhipOutput.open": "raised there, or reported by `write`",
    "stream/srt/connection.py:_SrtConnection.__init__": "only reads messages; without them the reason is a general one",
    "stream/sinks/live/output.py:Output.start": "logged, and the output connects again",
    "stream/sinks/live/encodes.py:VideoGroup.__init__": "logged, and the encoder is opened again",
    "stream/fetch/tls_tunnel.py:TlsTunnel.__init__": "only copies bytes; the connection ends",
    "stream/sources/live/idle.py:IdleSource.__init__": "raised by the reading thread",
    "stream/sinks/camera.py:CameraSink.open": "raised by `CameraSink.write`",
    "stream/sources/live/paced.py:Paced.__iter__": "raised there",
    "stream/fetch/gateway.py:Gateway.__init__": "of a request: that request fails, which http.server reports",
    "stream/fetch/safe_http.py:_time_limit": "only shuts a socket down",
    "web/http/disconnects.py:while_connected": "raised there",
    "web/stores/bucket_draft.py:BucketDraft._rotate": "raised by the next call that stores something",
    "workers/files/process.py:TaskProcess.run": "raised there",
    "workers/files/process.py:_begin": "without heartbeats the process is killed and replaced",
    "workers/files/process.py:_previews": "logged; the next preview is drawn",
    "workers/live/pool.py:Engines.get": "raised in those who wait for the engine",
    "workers/live/pool.py:Engines._chooser": "raised in those who wait for the chooser",
    "workers/live/streams.py:_Signalling._on_loop": "raised there; the reason of the connection's end",
    "workers/live/video.py:LiveVideo.answer": "logged; ends the video",
    "workers/live/feed.py:LiveFeed.__init__": "logged; the feed is tried again",
    "workers/runs/remote_matting.py:RemoteMatting.__init__": "logged; ends the source",
    "workers/live/device_thread.py:DeviceThread.__init__": "logged; fails the waiting frames",
}
"""Function → what happens to an exception."""


def started(tree: ast.AST, place: str = "") -> Iterator[str]:
    """The functions, as Class.method, that start a task or thread."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from started(node, f"{place}.{node.name}".lstrip("."))
            continue
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in STARTERS:
                yield place
        yield from started(node, place)


@pytest.mark.long
def test_background_work_is_started_where_its_exceptions_are_seen() -> None:
    found = {
        f"{path.relative_to(ROOT).as_posix()}:{function}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for function in started(ast.parse(path.read_text()))
    }
    assert found - SEEN.keys() == set(), "use stream.loops, or add it to SEEN with what happens to an exception"
    assert SEEN.keys() - found == set(), "these start nothing any more"


@pytest.mark.parametrize(
    "line",
    ["asyncio.create_task(f())", "x = [loop.create_task(f())]", "Thread(target=f).start()", "threading.Timer(1, f)"],
)
def test_a_start_is_found(line: str) -> None:
    assert list(started(ast.parse(f"class C:\n def f(self):\n  {line}"))) == ["C.f"]
