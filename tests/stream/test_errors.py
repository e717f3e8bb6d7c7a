import os
from pathlib import Path

import pytest

from stream.errors import disk_error, without_paths


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("cannot write /srv/mattebox/jobs/1/out.mp4: the disk is full", "cannot write out.mp4: the disk is full"),
        ("cannot open '/var/lib/x/y' or \"/etc/z\"", "cannot open 'y' or \"z\""),
        ("[Errno 2] No such file or directory: '/a/b/c.mkv'", "[Errno 2] No such file or directory: 'c.mkv'"),
        ("data folder /data: permission denied", "data folder data: permission denied"),
        ("file:/srv/a.mp4 (and image:/srv/b.png)", "file:a.mp4 (and image:b.png)"),
        ("https://films.example/a/b.mp4 is not a video", "https://films.example/a/b.mp4 is not a video"),
        ("http://[::1]:80/a/b and s3://bucket/of/films", "http://[::1]:80/a/b and s3://bucket/of/films"),
        ("sent as application/sdp, and/or 3 / 4", "sent as application/sdp, and/or 3 / 4"),
        ("use ./a/b, ../c/d or e/f", "use ./a/b, ../c/d or e/f"),
        ("", ""),
    ],
)
def test_paths_of_this_machine_are_shortened_to_their_names(text: str, public: str) -> None:
    assert without_paths(text) == public


def test_folders_with_spaces_are_recognised(tmp_path: Path) -> None:
    folder = tmp_path / "my own data" / "jobs"
    folder.mkdir(parents=True)
    error = disk_error(OSError(28, os.strerror(28)), folder / "the source")
    assert str(folder) in str(error), "the log has the whole path"
    assert without_paths(str(error)) == "cannot write the source: the disk is full"
