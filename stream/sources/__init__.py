"""Where pictures come from. A new source is a file here and a line in `SOURCES`; `base.py` says what it has to have.

Sources: `file`, `pattern`, `rtsp`. The other files are parts of these: `container`, `reader`, `scan` and `probe` read
files; `connection` reads what comes over a network. A WebRTC camera (`stream/rtc/source.py`) has no line: it is made
by a peer connection, not opened by an address.
"""

from pathlib import Path
from typing import cast

from stream.address import Address
from stream.errors import UsageError
from stream.pump import Source
from stream.registry import find
from stream.settings import Settings
from stream.sources.base import LiveSource, SourceClass, SourceOptions

SOURCES = {
    "file": "stream.sources.file:FileSource",
    "pattern": "stream.sources.pattern:PatternSource",
    "rtsp": "stream.sources.rtsp:RtspSource",
    "rtsps": "stream.sources.rtsp:RtspSource",
}
"""By an address's scheme."""


def source_address(text: str) -> Address:
    """The address that a person wrote. Raises UsageError, which does not quote it."""
    return Address.read(text, SOURCES)


def open_source(address: Address | Path, options: SourceOptions, settings: Settings) -> Source:
    """The source at an address; a path is a file's. Raises UsageError for what cannot be read or asked, InputError."""
    address = Address.of(address)
    found = _source_class(address)
    options.check(address.scheme, found.takes)
    try:
        return found.from_address(address, options, settings)
    except ModuleNotFoundError as exc:
        raise UsageError(f"{address.scheme}:// needs {exc.name}, which is not installed") from None


def open_live_source(address: Address, options: SourceOptions, settings: Settings) -> LiveSource:
    """As `open_source`. Raises UsageError too for a source that is not live."""
    if not is_live(address):
        raise UsageError(f"the source is none that can be read live ({listed(live=True)}); for a file: mattebox file")
    return cast(LiveSource, open_source(address, options, settings))


def is_live(address: Address) -> bool:
    """Does it stand for a live source? False for a scheme that is not known."""
    return address.scheme in SOURCES and _source_class(address).live


def listed(live: bool) -> str:
    """The schemes of all live sources, or of all others, for a person."""
    return ", ".join(f"{scheme}://" for scheme, place in SOURCES.items() if find(place).live == live)


def _source_class(address: Address) -> SourceClass:
    if address.scheme not in SOURCES:
        known = f"{listed(live=False)}, live: {listed(live=True)}"
        raise UsageError(f"{address.scheme}:// cannot be read; these can: {known}")
    found: SourceClass = find(SOURCES[address.scheme])
    return found
