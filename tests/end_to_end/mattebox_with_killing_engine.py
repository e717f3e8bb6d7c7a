"""Runs `mattebox` with an engine that kills the process at its first frame, as a bug in a native library does.

`python -m tests.end_to_end.mattebox_with_killing_engine serve …`
"""

import os
import signal
from collections.abc import Sequence
from dataclasses import replace

from stream.picture.frames import Frame
from stream.records.engines import ENGINES
from tests.end_to_end import as_mattebox
from workers.engines.base import EngineState, Result
from workers.engines.chroma import Chroma


class Killing(Chroma):
    name = "killing"

    def infer(self, prepared: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().infer(prepared, states)


ENGINES["killing"] = replace(
    ENGINES["chroma"], name="killing", place="tests.end_to_end.mattebox_with_killing_engine:Killing"
)

if __name__ == "__main__":
    as_mattebox.run("tests.end_to_end.mattebox_with_killing_engine")
