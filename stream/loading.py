"""The garbage collector during the start of a process.

Modules are tens of thousands of objects and no garbage. Without this, the collector examines them again and again while
they are loaded: a tenth of the time to the first frame of `mattebox file`.
"""

import gc


def begin() -> None:
    """No collections until `end`. For entry points."""
    gc.disable()


def end() -> None:
    """Collect garbage from now on, but never look for it among what exists already. Without `begin` nothing changes."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
