"""Which videos a batch has, and the names of their results."""

import os
from pathlib import Path

import pytest

from stream.errors import FetchError, UnreadableMedia, UsageError
from stream.settings import Settings
from stream.storage.named import NamedBucket
from tests.media import DATA
from workers.batch.inputs import BadInput, Input, absolute, in_list, in_place

SETTINGS = Settings()
HEAD = (DATA / "talk_bikes.mp4").read_bytes()[:4096]
FILES = {
    "b.mp4": HEAD, "a/c.MOV": HEAD, "a/no suffix": HEAD, "empty.mp4": b"", "photo.jpg": b"\xff\xd8\xff\xe0 a photo",
    "notes.txt": b"notes", ".hidden.mp4": HEAD, ".trash/d.mp4": HEAD, "out/e.mp4": HEAD,
}  # fmt: skip
VIDEOS = [("a/c.MOV", "a/c"), ("a/no suffix", "a/no suffix"), ("b.mp4", "b"), ("empty.mp4", "empty")]


def filled(folder: Path) -> Path:
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_videos_of_a_folder_are_recognised_by_their_content(tmp_path: Path) -> None:
    found = list(in_place(str(filled(tmp_path)), str(tmp_path / "out"), SETTINGS, tmp_path))
    assert [(each.name, each.stem) for each in found if isinstance(each, Input)] == VIDEOS
    first = found[0]
    assert isinstance(first, Input)
    assert (first.place, first.size, first.address) == (str(tmp_path), 4096, f"{tmp_path}/a/c.MOV")


@pytest.mark.long
def test_videos_of_a_bucket_are_found_as_in_a_folder(s3: Settings, tmp_path: Path) -> None:
    place = NamedBucket(s3.storage, s3)
    for name, content in FILES.items():
        place.send(name, [content])
    found = list(in_place(s3.storage, f"{s3.storage}/out", s3, tmp_path))
    assert sorted((each.name, each.stem) for each in found if isinstance(each, Input)) == sorted(VIDEOS)


@pytest.mark.parametrize("results", ["/other", "same"])
def test_results_elsewhere_hide_no_inputs(tmp_path: Path, results: str) -> None:
    place = str(tmp_path) if results == "same" else results
    found = list(in_place(str(filled(tmp_path)), place, SETTINGS, tmp_path))
    assert "out/e.mp4" in [each.name for each in found if isinstance(each, Input)]


def test_a_name_that_is_not_text_is_an_error_of_this_file(tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4")).write_bytes(HEAD)
    except OSError:
        pytest.skip("this file system takes no such name")
    (bad,) = in_place(str(tmp_path), "/other", SETTINGS, tmp_path)
    assert isinstance(bad, BadInput)
    assert "UTF-8" in str(bad.error)


def test_a_missing_folder_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        list(in_place(str(tmp_path / "missing"), "/other", SETTINGS, tmp_path))


def test_a_list_keeps_the_paths_of_its_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(filled(tmp_path))
    lines = [
        "b.mp4\n",
        "\n",
        f"{tmp_path}/a/c.MOV\r\n",
        "a/../b.mp4",
        "https://ann:secret@host.example:81/x/.y/../z.mp4?t=1\n",
    ]
    found = list(in_list(lines, SETTINGS))
    assert all(isinstance(each, Input) for each in found)
    assert [each.stem for each in found if isinstance(each, Input)] == [
        "b", f"{tmp_path}/a/c".lstrip("/"), "b", "host.example/x/y/z",
    ]  # fmt: skip
    assert [(each.place, each.size) for each in found if isinstance(each, Input)][1:] == [
        ("/", 4096), ("/", 4096), ("", 0),
    ]  # fmt: skip
    web = found[-1]
    assert isinstance(web, Input)
    assert "secret" not in web.address
    assert "secret" in web.name


def test_a_list_may_name_objects_of_any_bucket(s3: Settings) -> None:
    NamedBucket("s3://films", s3).send("new/a.mp4", [HEAD])
    good, missing = in_list(["s3://films/new/a.mp4", "s3://films/new/b.mp4"], s3)
    assert isinstance(good, Input)
    assert (good.place, good.name, good.stem) == ("s3://films", "new/a.mp4", "films/new/a")
    assert isinstance(missing, BadInput)
    assert "does not exist" in str(missing.error)


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("missing.mp4", UnreadableMedia, "missing.mp4 does not exist"),
        (".", UnreadableMedia, "is a folder"),
        ("rtsp://ann:secret@camera/1", FetchError, "rtsp:// is not supported"),
        ("http://", FetchError, "not a valid address"),
    ],
)
def test_a_bad_line_is_an_error_of_this_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, error: type[Exception], message: str
) -> None:
    monkeypatch.chdir(filled(tmp_path))
    bad, good = in_list([line, "b.mp4"], SETTINGS)
    assert isinstance(bad, BadInput)
    assert isinstance(bad.error, error)
    assert message in str(bad.error)
    assert "secret" not in bad.address + str(bad.error)
    assert isinstance(good, Input)


def test_addresses_of_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("in/../films/") == str(tmp_path / "films")
    assert absolute("s3://films/new/") == "s3://films/new"
    with pytest.raises(UsageError, match="gs:// is not supported"):
        absolute("gs://films")
