"""Where pictures go. A new sink is a file here and a line in `SINKS`; `base.py` says what it has to have.

Sinks: `file` (one video) and `images` (a folder of pictures). The other files are parts of these: `formats` (what each
format can hold), `sound`, `gif`, `partial` (nothing half-written is visible). Jobs of the service write with parts of
their own: `several` (one video into several outputs), `segment`, `joined` and `sequential` (an output in pieces, and
the whole that is made of them). Viewers over WebRTC (`stream/rtc/sink.py`) have no line: a peer connection makes that
sink, it is not opened by an address.
"""

from pathlib import Path

from stream.address import Address
from stream.errors import UsageError
from stream.pump import Sink
from stream.records.options import Options
from stream.registry import find
from stream.settings import Settings
from stream.sinks.base import SinkClass
from stream.sinks.formats import format_of

SINKS = {
    "file": "stream.sinks.file:FileSink",
    "images": "stream.sinks.images:ImagesSink",
}
"""By an address's scheme; but a file's name that stands for many pictures leads to "images", which is no scheme."""


def sink_address(text: str) -> Address:
    """The address that a person wrote. Raises UsageError, which does not quote it."""
    return Address.read(text, _schemes())


def open_sink(address: Address | Path, options: Options, settings: Settings) -> Sink:
    """The sink at an address; a path is a file's, and its name says the format. Nothing is written yet.

    Raises UsageError for what cannot be written to or be asked (UnsupportedOutput: of that format), DiskError.
    """
    address = Address.of(address)
    if address.scheme not in _schemes():
        known = "".join(f", or {scheme}://" for scheme in _schemes() if scheme != "file")
        raise UsageError(f"{address.scheme}:// cannot be sent to yet; give the name of a file, such as out.mkv{known}")
    found: SinkClass = find(SINKS[_kind(address)])
    try:
        return found.from_address(address, options, settings)
    except ModuleNotFoundError as exc:
        raise UsageError(f"{address.scheme}:// needs {exc.name}, which is not installed") from None


def _schemes() -> list[str]:
    return [kind for kind in SINKS if kind != "images"]


def _kind(address: Address) -> str:
    if address.scheme != "file":
        return address.scheme
    return "file" if format_of(address.path).container else "images"
