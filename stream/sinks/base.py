"""Interface of sinks that are opened by an address."""

from typing import Protocol

from stream.address import Address
from stream.pump import Sink
from stream.records.options import Options
from stream.settings import Settings


class SinkClass(Protocol):
    """The class that an entry of `SINKS` names.

    A sink that must not block the pump (a device, a connection) also has a `slot`: `pump` then gives it only the newest
    frame.
    """

    def from_address(self, address: Address, options: Options, settings: Settings) -> Sink:
        """A class method. Checks its arguments; nothing is written and no connection is made before `open`.

        options: of the video. If `options.wants_alpha`, frames have alpha: a sink that cannot store it raises
        UnsupportedOutput. Optional packages are imported here, not at the top of the module. Raises UsageError,
        DiskError.
        """
        ...
