"""`mattebox stream` with several outputs, as a user runs it: a clip of flashes and beeps, to servers and files."""

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
import pytest

from tests.flashes import make_clip, measured, offsets_s
from tests.media import ROOT, command, mattebox
from tests.rtmp import RtmpServer
from tests.servers import free_port
from tests.waiting import PATIENCE_S, until

QUICK = {"MATTEBOX_RTSP_RETRY_S": "0.3", "MATTEBOX_OUTPUT_TIMEOUT_S": "5"}
SECRET = "hush-hush"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RtmpServer]:
    server = RtmpServer(tmp_path / "nginx")
    yield server
    server.kill()


def start(*arguments: object) -> "subprocess.Popen[str]":
    line = command(
        "stream", *arguments, "--engine", "chroma", "--key", "#00c83c", "--background", "color:#202020", "-vv"
    )
    return subprocess.Popen(line, cwd=ROOT, env=os.environ | QUICK, stderr=subprocess.PIPE, text=True)


@pytest.mark.long
def test_servers_and_files_at_once(server: RtmpServer, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 4)
    files = [tmp_path / "a.mp4", tmp_path / "b.mkv", tmp_path / "live.m3u8"]
    dead = f"rtmp://ann:{SECRET}@127.0.0.1:{free_port()}/live/{SECRET}"
    outputs = [server.url(SECRET), *files, dead]
    running = start(clip, *outputs, "--loop")
    lines: list[str] = []
    try:
        assert running.stderr is not None
        for line in running.stderr:
            lines.append(line)
            if line.startswith("output 1") and "live" in line:
                break
        with av.open(server.url(SECRET), timeout=(PATIENCE_S, PATIENCE_S)) as container:
            kinds = [(stream.type, stream.codec_context.name) for stream in container.streams]
            pictures = [picture for picture, _ in zip(container.decode(video=0), range(60), strict=False)]
        running.send_signal(signal.SIGINT)
        lines += running.communicate(timeout=PATIENCE_S)[1].splitlines(keepends=True)
    finally:
        running.kill()
        running.wait()
    text = "".join(lines)
    assert running.returncode == 0, text
    assert sorted(kinds) == [("audio", "aac"), ("video", "h264")]
    assert len(pictures) == 60
    assert text.count("output 5 rtmp://127.0.0.1") == 2, "one report of the failure, and one of the end"
    assert "reconnecting: connection refused" in text
    assert SECRET not in text
    for path in files:
        flashes, beeps = measured(path)
        assert len(flashes) >= 2, path
        assert max(abs(offset) for offset in offsets_s(flashes, beeps)) <= 0.04, path


@pytest.mark.long
def test_without_sound_at_a_lower_rate_and_size(tmp_path: Path) -> None:
    clip, out = make_clip(tmp_path / "clip.mp4", 2), tmp_path / "out.mp4"
    options = ["--rate", "10", "--size", "160x120", "--audio", "off", "--bitrate", "300k", "--engine", "chroma"]
    done = mattebox("stream", clip, out, *options)
    assert done.returncode == 0, done.stderr
    with av.open(out) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        pictures = list(container.decode(video=0))
    assert 15 <= len(pictures) <= 21
    assert (pictures[0].width, pictures[0].height) == (160, 120)


def test_an_existing_output_of_several_is_not_replaced(tmp_path: Path) -> None:
    clip, kept = make_clip(tmp_path / "clip.mp4", 1), tmp_path / "live.m3u8"
    kept.write_text("kept")
    done = mattebox("stream", clip, tmp_path / "a.mkv", kept)
    assert done.returncode == 2
    assert "already exists" in done.stderr
    assert kept.read_text() == "kept"
    assert not (tmp_path / "a.mkv").exists()


@pytest.mark.long
def test_one_file_in_two_spellings_and_the_input_are_refused(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 1)
    before = clip.read_bytes()
    twice = mattebox("stream", clip, tmp_path / "a.mkv", tmp_path / "." / "x" / ".." / "a.mkv")
    assert (twice.returncode, "two outputs have the same address" in twice.stderr) == (2, True), twice.stderr
    itself = mattebox("stream", clip, clip, "-y")
    assert (itself.returncode, "overwrite the input" in itself.stderr) == (2, True), itself.stderr
    assert clip.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4"}


@pytest.mark.slow
def test_a_recording_to_a_single_file_survives_sigkill(tmp_path: Path) -> None:
    clip, out = make_clip(tmp_path / "clip.mp4", 4), tmp_path / "out" / "out.mp4"
    out.parent.mkdir()
    running = start(clip, out, "--loop")
    try:
        until(lambda: sum(part.read_bytes().count(b"moof") for part in out.parent.iterdir()) >= 5)
    finally:
        running.kill()
        running.communicate()
    (left,) = out.parent.iterdir()
    assert left.suffix == ".part"
    kinds: Counter[str] = Counter()
    with av.open(left) as container, suppress(av.error.InvalidDataError):  # the last fragment may be cut
        for packet in container.demux():
            kinds[packet.stream.type] += len(packet.decode())
    assert kinds["video"] >= 3 * 25
    assert kinds["audio"] >= 3 * 46
