from pathlib import Path

import pytest

from tests.flashes import make_clip


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same clip in several containers."""
    folder = tmp_path_factory.mktemp("clips")
    for name in ("clip.mkv", "clip.ts", "clip.mp4"):
        make_clip(folder / name, 12)
    return folder
