"""What `mattebox batch` refuses before it contacts a cluster."""

import re
from pathlib import Path

import pytest

from commands.app import app
from commands.batch import _with_absolute_paths
from stream.errors import BackgroundError, MatteboxError, UsageError
from stream.records.options import Options
from tests.media import DATA


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "a.mp4").symlink_to(DATA / "talk_bikes.mp4")
    return folder


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("{films}/a.mp4", "out"), UsageError, "a.mp4 is not a folder; for one video use mattebox file"),
        (("@missing.txt", "out"), UsageError, "@missing.txt: No such file"),
        (("gs://films", "out"), UsageError, "gs:// is not supported here"),
        (("{films}", "{films}/../films"), UsageError, "DST is SRC"),
        (("{films}", "gs://out"), UsageError, "gs:// is not supported here"),
        (("{films}", "out", "--format", "jpg"), UsageError, "--format jpg is for pictures"),
        (("{films}", "out", "--format", "wmv"), UsageError, "--format 'wmv' is unknown"),
        (
            ("{films}", "out", "--format", "mp4", "--background", "transparent"),
            UsageError,
            "does not support transparency",
        ),
        (("{films}", "out", "--engine", "crhoma"), UsageError, "unknown engine 'crhoma'"),
        (("{films}", "out", "--background", "image:missing.jpg"), BackgroundError, "missing.jpg"),
        (("{films}", "out", "--start", "9", "--end", "3"), UsageError, "--end 3 is not after --start 9"),
    ],
)
def test_wrong_usage_is_reported_before_any_work(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], error: type[MatteboxError],
    message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=re.escape(message)):
        app(["batch", *(word.format(films=films) for word in words)], standalone_mode=False)
    assert not (tmp_path / "out").exists()


def test_nodes_get_absolute_paths() -> None:
    options = Options.read(background="image:back.jpg", subjects=["mask:hint.png@2", "point:0.5,0.5"])
    moved = _with_absolute_paths(options)
    assert moved.background.path == str(Path.cwd() / "back.jpg")
    assert [prompt.spec() for prompt in moved.subjects[0].prompts] == [
        f"mask:{Path.cwd() / 'hint.png'}@2", "point:0.5,0.5",
    ]  # fmt: skip
