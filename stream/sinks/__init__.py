"""Where frames go. A new sink is one file here and one line in `SINKS`; `base.py` defines its interface.

Sinks: `file` (one video), `images` (a folder of pictures), `picture` (one picture), `stdout`, and `camera` (a virtual
camera of one of the kinds in `cameras/`). `encodings` has the codec of each format, `tags` the names of tags in each
container, `parts/` the parts of sinks and the segments of jobs.
The sink for viewers over WebRTC (`stream/rtc/sink.py`) is not listed here, because a peer connection creates it; no
address opens it.
"""

from pathlib import Path

from stream.address import Address
from stream.errors import UnsupportedOutput, UsageError
from stream.picture.frames import VideoInfo
from stream.pump import Sink
from stream.records.formats import FORMATS
from stream.records.options import Options
from stream.registry import find
from stream.settings import Settings
from stream.sinks.base import SinkClass
from stream.sinks.encodings import encoding_of, format_of
from stream.sinks.images import ImagesSink, folder_and_pattern
from stream.sinks.parts.numbered_pictures import PictureOptions
from stream.sinks.picture import check_picture

SINKS = {
    "camera": "stream.sinks.camera:CameraSink",
    "file": "stream.sinks.file:FileSink",
    "images": "stream.sinks.images:ImagesSink",
    "picture": "stream.sinks.picture:PictureSink",
    "stdout": "stream.sinks.stdout:StdoutSink",
}
"""By the scheme of the address; instead of "file", "images" for a file name that means a picture sequence, and
"picture" for that of one picture."""
_OF_FILES = ("file", "images", "picture")


def sink_address(text: str) -> Address:
    """Parse the address of a sink. Raises UsageError, which does not quote it."""
    return Address.read(text, _schemes())


def open_sink(
    address: Address | Path, options: Options, settings: Settings, pictures: PictureOptions | None = None
) -> Sink:
    """Create the sink for an address or a file's path; a file's name sets the format. Nothing is written yet.

    pictures: how those of a sequence are written; None: with the defaults. Other outputs refuse anything else.
    Raises UsageError for an unknown scheme, UnsupportedOutput for options that the format does not support, DiskError.
    """
    address = Address.of(address)
    if address.scheme not in _schemes():
        known = "".join(f", or {scheme}://" for scheme in _schemes() if scheme not in ("file", "stdout"))
        raise UsageError(f"{address.scheme}:// is not supported as an output; use a file name, such as out.mkv{known}")
    if pictures is not None and pictures != PictureOptions():
        if _kind(address) != "images":
            raise UnsupportedOutput("--alpha and --depth are for picture sequences, such as out/%05d.exr")
        return ImagesSink(address.path, encoding_of(address.path), settings, pictures)
    found: SinkClass = find(SINKS[_kind(address)])
    try:
        return found.from_address(address, options, settings)
    except ModuleNotFoundError as exc:
        raise UsageError(f"{address.scheme}:// needs {exc.name}, which is not installed") from None


def check_input(address: Address | Path, info: VideoInfo) -> None:
    """Raise UnsupportedOutput if the output at this address cannot hold an input with these properties: a picture needs
    a format for pictures, and a video one for videos."""
    address = Address.of(address)
    if address.scheme in ("file", "stdout"):
        chosen = format_of(address.path) if address.scheme == "file" else FORMATS[address.name]
        if chosen.still or info.still is not None:
            check_picture(chosen, info)


def takes_photos(address: Address | Path) -> bool:
    """Whether the output has a use for frames that carry their picture in full quality (`Frame.photo`)."""
    address = Address.of(address)
    kind = _kind(address)
    return kind == "images" or (kind == "file" and encoding_of(address.path).deep)


def existing(address: Address | Path) -> Path | None:
    """The file or the folder with files in it that an output at this address would replace; None if there is none.

    Raises UnsupportedOutput.
    """
    address = Address.of(address)
    if address.scheme != "file":
        return None
    if _kind(address) != "images":
        return address.path if address.path.exists() else None
    folder, _ = folder_and_pattern(address.path)
    return folder if folder.is_dir() and any(folder.iterdir()) else None


def device_schemes() -> list[str]:
    """The schemes of sinks that are neither files nor standard output."""
    return [scheme for scheme in _schemes() if scheme not in ("file", "stdout")]


def _schemes() -> list[str]:
    return [kind for kind in SINKS if kind == "file" or kind not in _OF_FILES]


def _kind(address: Address) -> str:
    if address.scheme != "file":
        return address.scheme
    chosen = format_of(address.path)
    return "picture" if chosen.still else "images" if chosen.pictures else "file"
