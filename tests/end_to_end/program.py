"""`mattebox` with test engines that know the matte of the test scene: `python -m tests.end_to_end.program serve …`."""

import sys

from commands import serve
from mattebox import main
from stream.records.engines import ENGINES
from tests.end_to_end import scene


def _itself(*words: str) -> list[str]:
    return [sys.executable, "-m", "tests.end_to_end.program", *words]


if __name__ == "__main__":
    ENGINES.update(scene.RECORDS)
    serve._mattebox = _itself
    main()
