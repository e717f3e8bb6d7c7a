import os
from dataclasses import replace
from pathlib import Path

import pytest

from stream.errors import UsageError
from stream.srt import SrtAddress, find_program
from stream.srt.programs import MISSING
from tests.srt import only

ADDRESS = SrtAddress("127.0.0.1", 9000, "caller", 400, 16, "it's a secret", "#!::r=live/a,m=publish")
OPEN = replace(ADDRESS, passphrase="", stream_id="")


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_without_a_program_the_error_names_the_packages(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="apt install srt-tools, or brew install srt") as caught:
        find_program(str(tmp_path))
    assert str(caught.value) == MISSING


@pytest.mark.parametrize("answer", ["echo srtp", "exit 1", "kill -9 $$"])
def test_an_ffmpeg_without_srt_is_not_used(tmp_path: Path, answer: str) -> None:
    script(tmp_path / "ffmpeg", answer)
    with pytest.raises(UsageError):
        find_program(str(tmp_path))
    script(tmp_path / "srt-live-transmit", "exit 1")
    assert find_program(str(tmp_path)).name == "srt-live-transmit"


def test_ffmpeg_is_preferred(tmp_path: Path) -> None:
    for name in ("ffmpeg", "srt-live-transmit"):
        script(tmp_path / name, "echo Input: ; echo ' srt'")
    assert find_program(str(tmp_path)).name == "ffmpeg"


@pytest.mark.parametrize("direction", ["read", "write"])
def test_the_latency_is_in_the_unit_of_each_program(tmp_path: Path, direction: str) -> None:
    units = {"ffmpeg": "latency=400000", "srt-live-transmit": "latency=400&"}
    for name, expected in units.items():
        program = only(name, tmp_path / name)
        command = getattr(program, direction)(ADDRESS, 5.0, 3)
        url = next(text for text in command.argv if text.startswith("srt://")) if name != "ffmpeg" else ""
        assert expected in " ".join(command.argv) + command.secrets + url


@pytest.mark.parametrize("direction", ["read", "write"])
def test_ffmpeg_gets_secrets_through_the_pipe(tmp_path: Path, direction: str) -> None:
    program = only("ffmpeg", tmp_path / "bin")
    if direction == "write" and program.exposed:
        pytest.skip("this version of ffmpeg reads no options of outputs from a file")
    command = getattr(program, direction)(ADDRESS, 5.0, 3)
    for secret in (ADDRESS.passphrase, ADDRESS.stream_id):
        assert not any(secret in text for text in command.argv)
    assert ADDRESS.stream_id in command.secrets
    assert "secret" in command.secrets
    assert "secret" not in repr(command)
    assert getattr(program, direction)(OPEN, 5.0, 3).secrets == ""


def test_srt_live_transmit_cannot_pass_every_value(tmp_path: Path) -> None:
    program = only("srt-live-transmit", tmp_path / "bin")
    assert program.exposed == "sources and outputs"
    with pytest.raises(UsageError, match="install ffmpeg") as caught:
        program.read(replace(ADDRESS, passphrase="one two & three"), 5.0, 3)
    assert "three" not in str(caught.value)


def test_this_machine_has_a_program_where_one_is_installed() -> None:
    if not any(os.access(f"/usr/bin/{name}", os.X_OK) for name in ("ffmpeg", "srt-live-transmit")):
        pytest.skip("neither ffmpeg nor srt-live-transmit is installed")
    assert find_program().name in ("ffmpeg", "srt-live-transmit")


def test_an_ffmpeg_that_reads_no_options_from_a_file(tmp_path: Path) -> None:
    """As FFmpeg 9.0: then secrets of outputs are arguments."""
    script(tmp_path / "ffmpeg", "echo ' srt'")
    program = find_program(str(tmp_path))
    assert program.exposed == "outputs"
    command = program.write(ADDRESS, 5.0, 3)
    assert command.secrets == ""
    assert command.argv[command.argv.index("-passphrase") + 1] == ADDRESS.passphrase
    assert ADDRESS.passphrase not in program.read(ADDRESS, 5.0, 3).argv
