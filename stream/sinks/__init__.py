"""Where frames go. A new sink is one file here and one line in `SINKS`; `base.py` defines its interface.

Sinks: `file` (one video) and `images` (a folder of pictures). `encodings` has the codec of each format, `parts/` the
parts of sinks and the segments of jobs. The sink for viewers over WebRTC (`stream/rtc/sink.py`) is not listed here,
because a peer connection creates it; no address opens it.
"""

from pathlib import Path

from stream.address import Address
from stream.errors import UsageError
from stream.pump import Sink
from stream.records.options import Options
from stream.registry import find
from stream.settings import Settings
from stream.sinks.base import SinkClass
from stream.sinks.encodings import encoding_of
from stream.sinks.images import folder_and_pattern

SINKS = {
    "file": "stream.sinks.file:FileSink",
    "images": "stream.sinks.images:ImagesSink",
}
"""By the scheme of the address; "images" instead of "file" for a file name that means a picture sequence."""


def sink_address(text: str) -> Address:
    """Parse the address of a sink. Raises UsageError, which does not quote it."""
    return Address.read(text, _schemes())


def open_sink(address: Address | Path, options: Options, settings: Settings) -> Sink:
    """Create the sink for an address or a file's path; a file's name sets the format. Nothing is written yet.

    Raises UsageError for an unknown scheme, UnsupportedOutput for options that the format does not support, DiskError.
    """
    address = Address.of(address)
    if address.scheme not in _schemes():
        known = "".join(f", or {scheme}://" for scheme in _schemes() if scheme != "file")
        raise UsageError(f"{address.scheme}:// is not supported as an output; use a file name, such as out.mkv{known}")
    found: SinkClass = find(SINKS[_kind(address)])
    try:
        return found.from_address(address, options, settings)
    except ModuleNotFoundError as exc:
        raise UsageError(f"{address.scheme}:// needs {exc.name}, which is not installed") from None


def existing(address: Address | Path) -> Path | None:
    """The file or the folder with files in it that an output at this address would replace; None if there is none.

    Raises UnsupportedOutput.
    """
    address = Address.of(address)
    if address.scheme != "file":
        return None
    if _kind(address) == "file":
        return address.path if address.path.exists() else None
    folder, _ = folder_and_pattern(address.path)
    return folder if folder.is_dir() and any(folder.iterdir()) else None


def _schemes() -> list[str]:
    return [kind for kind in SINKS if kind != "images"]


def _kind(address: Address) -> str:
    if address.scheme != "file":
        return address.scheme
    return "file" if encoding_of(address.path).container else "images"
