"""Secrets in files and in the environment, which keep them out of the process list."""

from pathlib import Path

import pytest

from commands.passwords import address_of, token_of
from stream.errors import UsageError
from tests.commands.in_process import mattebox_here
from tests.media import mattebox

WHIP = "whip+https://127.0.0.1:1/whip/x"
BAD_TOKEN = "hush hush"  # refused, by what would send it


def test_a_token_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("hush\nmore\n")
    assert token_of(None, path, "--token") == "hush"
    assert token_of("given", None, "--token") == "given"
    with pytest.raises(UsageError, match="--token-file, not twice"):
        token_of("given", path, "--token")
    path.write_bytes(b"\xff\n")
    with pytest.raises(UsageError, match=r"--token-file .*not UTF-8"):
        token_of(None, path, "--token")


def test_an_address_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "address"
    path.write_text("rtmp://live.example/app/hush\n")
    assert address_of(f"@{path}") == "rtmp://live.example/app/hush"
    assert address_of("out@home.mp4") == "out@home.mp4"
    with pytest.raises(UsageError, match=r"@.*none: No such file"):
        address_of(f"@{tmp_path}/none")


@pytest.mark.long
@pytest.mark.parametrize("way", ["option", "file", "environment"])
def test_stream_gives_the_token_to_its_outputs(tmp_path: Path, way: str) -> None:
    (tmp_path / "token").write_text(f"{BAD_TOKEN}\n")
    (tmp_path / "output").write_text(f"{WHIP}\n")
    ways: dict[str, list[str]] = {
        "option": ["--token", BAD_TOKEN],
        "file": ["--token-file", str(tmp_path / "token")],
        "environment": [],
    }
    env = {"MATTEBOX_WHIP_TOKEN": BAD_TOKEN} if way == "environment" else {}
    done = mattebox(
        "stream", "rtsp://127.0.0.1:1/x", f"@{tmp_path / 'output'}", "--engine", "chroma", *ways[way], env=env
    )
    assert (done.returncode, done.stderr) == (2, "error: the token contains invalid characters\n")


@pytest.mark.parametrize(
    ("ways", "env", "sent"),
    [
        (["--token", BAD_TOKEN], {}, True),
        (["--token-file", "token"], {}, True),
        (["--source-token", BAD_TOKEN, "--token", "good"], {}, True),
        (["--source-token-file", "token", "--token", "good"], {}, True),
        ([], {"MATTEBOX_WHEP_TOKEN": BAD_TOKEN}, True),
        ([], {"MATTEBOX_WHIP_TOKEN": BAD_TOKEN}, False),
        (["--source-token", "", "--token", BAD_TOKEN], {}, False),
    ],
)
def test_stream_gives_the_token_to_a_whep_source(
    tmp_path: Path, ways: list[str], env: dict[str, str], sent: bool
) -> None:
    """A token in the environment is for one side only."""
    path = tmp_path / "token"
    path.write_text(f"{BAD_TOKEN}\n")
    words = [str(path) if word == "token" else word for word in ways]
    output = ("--engine", "chroma", "--duration", "0", tmp_path / "out.mkv")
    done = mattebox_here("stream", "whep+https://127.0.0.1:1/whep/x", *output, *words, env=env)
    error = "the token contains invalid characters" if sent else "--duration 0 would record nothing"
    assert (done.returncode, done.stderr) == (2, f"error: {error}\n")


@pytest.mark.long
def test_camera_reads_its_address_and_password_from_files(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("rtsp://ann:pass-word@127.0.0.1:1/x\n")
    (tmp_path / "password").write_text("hush\n")
    done = mattebox("camera", "--source", f"@{tmp_path / 'source'}", "--password-file", tmp_path / "password")
    assert done.returncode == 2
    assert "an address with a user and without a password" in done.stderr
    assert "pass-word" not in done.stderr


@pytest.mark.parametrize(
    ("ways", "env", "error"),
    [
        (["--source-token", BAD_TOKEN], {}, "the token contains invalid characters"),
        (["--source-token-file", "token"], {}, "the token contains invalid characters"),
        ([], {"MATTEBOX_WHEP_TOKEN": BAD_TOKEN}, "the token contains invalid characters"),
        (["--source-token", "good", "--source-token-file", "token"], {}, "--source-token-file, not twice"),
        (["--token", BAD_TOKEN], {}, "/nowhere does not exist"),  # it is of the server
        ([], {"MATTEBOX_TOKEN": BAD_TOKEN, "MATTEBOX_WHIP_TOKEN": BAD_TOKEN}, "/nowhere does not exist"),
        (["--source", "whep+https://hush@127.0.0.1/x"], {}, "WHEP has no users; give a token with --source-token"),
    ],
)
def test_camera_gives_a_whep_source_its_own_token(
    tmp_path: Path, ways: list[str], env: dict[str, str], error: str
) -> None:
    path = tmp_path / "token"
    path.write_text(f"{BAD_TOKEN}\n")
    words = [str(path) if word == "token" else word for word in ways]
    given = ("--source", "whep+https://127.0.0.1:1/whep/x", "--device", "camera:/nowhere", "--engine", "chroma")
    done = mattebox_here("camera", *given, *words, env=env)
    assert done.returncode == (1 if "nowhere" in error else 2)
    assert error in done.stderr
    assert "hush" not in done.stderr
