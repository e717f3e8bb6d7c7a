"""What a sink that is opened by an address has to have."""

from typing import Protocol

from stream.address import Address
from stream.pump import Sink
from stream.records.options import Options
from stream.settings import Settings


class SinkClass(Protocol):
    """The class behind a line of `SINKS`.

    A sink that must not be waited for (a device, a connection) has a `slot` besides: `pump` then hands it the newest
    frame only.
    """

    def from_address(self, address: Address, options: Options, settings: Settings) -> Sink:
        """A class method. Checks what it is given; nothing is written and nothing connected to before `open`.

        options: what is asked of the picture. Where `options.wants_alpha`, frames carry alpha: a sink that cannot keep
        it raises UnsupportedOutput. Packages that not every installation has are imported here, not at the top of the
        module. Raises UsageError, DiskError.
        """
        ...
