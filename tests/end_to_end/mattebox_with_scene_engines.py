"""Runs `mattebox` with the test engines of `camera_scene.py`, which know the matte of the test scene.

`python -m tests.end_to_end.mattebox_with_scene_engines serve …`
"""

import sys

from commands import serve
from mattebox import main
from stream.records.engines import ENGINES
from tests.end_to_end import camera_scene


def _itself(*words: str) -> list[str]:
    return [sys.executable, "-m", "tests.end_to_end.mattebox_with_scene_engines", *words]


if __name__ == "__main__":
    ENGINES.update(camera_scene.RECORDS)
    serve._mattebox = _itself
    main()
