import os
from pathlib import Path

from workers.files.workspace import Desk, Workspace


def test_the_folders_of_tasks_are_private(tmp_path: Path) -> None:
    assert os.umask(0o022) == 0o022, "the usual umask, with which folders are readable by all"
    space = Workspace(tmp_path / "data" / "work", "one")
    try:
        task = Desk(space.path).fresh("plan")
        folders = (tmp_path / "data", tmp_path / "data" / "work", space.path, task)
        assert [oct(folder.stat().st_mode & 0o777) for folder in folders] == ["0o700"] * 4
        (task / "left").touch()
        assert list(Desk(space.path).fresh("plan").iterdir()) == [], "an old folder of that name is replaced"
    finally:
        space.close()
