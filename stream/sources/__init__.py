"""Sources of frames. A new source is a file here and a line in `SOURCES`; `base.py` defines its interface.

Sources: `file`, `picture`, `sequence`, `pattern`, `stdin`, and those in `live/`. `frame_file` and `numbered_files` are
parts of `sequence`. The other files are parts of `file`: `demuxers`,
`container`, `extent`, `video_streams`, `raw_streams`, `packets`, `reader`, `track_clock`, `presentation`,
`damaged_times`, `decode_health`, `scan`, `ts_tables`, `sound_changes`, `signatures`, `file_kinds`, `mp4_boxes`,
`joined_files` and `probe` read files; `extras`, `tags` and `side_tracks` read what files carry besides pictures and
sound. The source for a WebRTC camera (`stream/rtc/source.py`) is not listed here, because a peer connection creates it;
no address opens it.
"""

from pathlib import Path
from typing import cast

from stream.address import Address
from stream.errors import UsageError
from stream.pump import Source
from stream.registry import find
from stream.settings import Settings
from stream.sources.base import LiveSource, SourceClass, SourceOptions
from stream.sources.live.protocols import PROTOCOLS
from stream.sources.numbered_files import is_pattern
from stream.sources.signatures import is_picture

SOURCES = {
    "file": "stream.sources.file:FileSource",
    "picture": "stream.sources.picture:PictureSource",
    "sequence": "stream.sources.sequence:SequenceSource",
    "played": "stream.sources.live.played:PlayedSource",
    "pattern": "stream.sources.pattern:PatternSource",
    "stdin": "stream.sources.stdin:StdinSource",
    **dict.fromkeys(PROTOCOLS, "stream.sources.live.network:NetworkSource"),
}
"""By the scheme of the address; instead of "file", "picture" for a file that is a picture, "sequence" for numbered
files, and "played" for a file that is opened as a live source."""
_OF_FILES = ("picture", "sequence", "played")


def source_address(text: str) -> Address:
    """Parse the address of a source. Raises UsageError, which does not quote it."""
    return Address.read(text, _schemes())


def open_source(address: Address | Path, options: SourceOptions, settings: Settings) -> Source:
    """Open the source at an address or a file's path.

    Raises UsageError for an unknown scheme and for options that the source does not support, InputError.
    """
    address = Address.of(address)
    return _open(address, _kind(address), options, settings)


def open_live_source(address: Address, options: SourceOptions, settings: Settings) -> LiveSource:
    """Like `open_source`, for live sources; a video file plays at its own pace. Raises UsageError also for others."""
    kind = "played" if _kind(address) == "file" else _kind(address)
    if kind in SOURCES and not find(SOURCES[kind]).live:
        raise UsageError(f"the source must be live ({listed(live=True)}), or the name of a video file")
    return cast(LiveSource, _open(address, kind, options, settings))


def _open(address: Address, kind: str, options: SourceOptions, settings: Settings) -> Source:
    """kind: the key in `SOURCES`."""
    found = _source_class(kind)
    options.check(kind, found.takes)
    try:
        return found.from_address(address, options, settings)
    except ModuleNotFoundError as exc:
        raise UsageError(f"{address.scheme}:// needs {exc.name}, which is not installed") from None


def is_live(address: Address) -> bool:
    """Whether the address is that of a live source. False for an unknown scheme."""
    return address.scheme in _schemes() and _source_class(_kind(address)).live


def listed(live: bool) -> str:
    """The schemes of all live sources, or of all others, as text."""
    schemes = [scheme for scheme in _schemes() if scheme != "stdin" and find(SOURCES[scheme]).live == live]
    return ", ".join(f"{scheme}:" if _is_local(scheme) else f"{scheme}://" for scheme in schemes)


def _source_class(kind: str) -> SourceClass:
    if kind not in SOURCES:
        known = f"{listed(live=False)}, live: {listed(live=True)}"
        raise UsageError(f"{kind}:// is not supported as a source; use one of: {known}")
    found: SourceClass = find(SOURCES[kind])
    return found


def _is_local(scheme: str) -> bool:
    return scheme in PROTOCOLS and bool(PROTOCOLS[scheme].device)


def _schemes() -> list[str]:
    return [kind for kind in SOURCES if kind not in _OF_FILES]


def _kind(address: Address) -> str:
    if address.scheme != "file":
        return address.scheme
    if address.path.is_dir() or is_pattern(address.path):
        return "sequence"
    return "picture" if is_picture(address.path) else "file"
