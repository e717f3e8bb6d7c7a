"""Runs `mattebox` with the test engines of `camera_scene.py`, which know the matte of the test scene.

`python -m tests.end_to_end.mattebox_with_scene_engines serve …`
"""

from stream.records.engines import ENGINES
from tests.end_to_end import as_mattebox, camera_scene

if __name__ == "__main__":
    ENGINES.update(camera_scene.RECORDS)
    as_mattebox.run("tests.end_to_end.mattebox_with_scene_engines")
