"""Runs `mattebox` with an engine that does not return from a call while a file exists, as after a driver has failed.

`python -m tests.end_to_end.mattebox_with_hanging_engine serve …`; MATTEBOX_HANG_FILE names the file.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stream.picture.frames import Frame
from stream.records.engines import ENGINES
from tests.end_to_end import as_mattebox
from workers.engines.base import EngineState, Result
from workers.engines.chroma import Chroma


class Hanging(Chroma):
    name = "hanging"

    def infer(self, prepared: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
        if Path(os.environ["MATTEBOX_HANG_FILE"]).exists():
            time.sleep(3600)
        return super().infer(prepared, states)


ENGINES["hanging"] = replace(
    ENGINES["chroma"], name="hanging", place="tests.end_to_end.mattebox_with_hanging_engine:Hanging"
)

if __name__ == "__main__":
    as_mattebox.run("tests.end_to_end.mattebox_with_hanging_engine")
