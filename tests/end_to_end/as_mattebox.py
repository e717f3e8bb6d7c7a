"""Runs `mattebox` from a module of the tests, which adds engines; the processes that `serve` starts run it too."""

import sys

from commands import serve
from mattebox import main


def run(module: str) -> None:
    """module: the name of the module to start with `python -m`."""
    serve._mattebox = lambda *words: [sys.executable, "-m", module, *words]
    main()
