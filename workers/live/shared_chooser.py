"""A chooser that several device threads share, because videos with different engines use it: one call at a time."""

import threading
import time
from collections.abc import Sequence

from workers.choosers.base import Choice, Chooser, ChooserState, Question


class SharedChooser:
    """Wraps `chooser` and keeps its name. busy_s: time that it has worked since the start, to be displayed."""

    def __init__(self, chooser: Chooser) -> None:
        self.name, self.device, self.recurrent = chooser.name, chooser.device, chooser.recurrent
        self.check, self.prepare = chooser.check, chooser.prepare
        self.busy_s = 0.0
        self._chooser, self._lock = chooser, threading.Lock()

    def choose(self, questions: Sequence[Question], states: Sequence[ChooserState]) -> list[Choice]:
        with self._lock:
            began_s = time.monotonic()
            try:
                return self._chooser.choose(questions, states)
            finally:
                self.busy_s += time.monotonic() - began_s
