"""Interface of sinks that are opened by an address.

A new sink is one file beside this one and one line in `SINKS` (`__init__.py`), such as
`"ndi": "stream.sinks.ndi:NdiSink"`. Its class has `from_address` (below) and what `Sink` (`stream/pump.py`) asks for:
`open(info)`, `write(item)` with a `Frame` or an audio packet, `close()` at the end, `abort()`, which may be called at
any time, and the list `warnings`. An optional package gets an extra in pyproject.toml.
"""

from typing import Protocol

from stream.address import Address
from stream.pump import Sink
from stream.records.options import Options
from stream.settings import Settings


class SinkClass(Protocol):
    """The class that an entry of `SINKS` names.

    A sink that must not block the pump (a device, a connection) also has a `slot` (`stream/slot.py`), a hand-over that
    keeps only the newest frame.
    """

    def from_address(self, address: Address, options: Options, settings: Settings) -> Sink:
        """A class method. Checks its arguments; nothing is written and no connection is made before `open`.

        options: of the video. If `options.wants_alpha`, frames have alpha: a sink that cannot store it raises
        UnsupportedOutput. Optional packages are imported here and not at the top of the
        module, which is loaded to list the schemes too. Raises UsageError,
        DiskError.
        """
        ...
