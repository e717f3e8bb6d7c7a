"""The outputs of `mattebox stream`: one file, or several outputs of any kind at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from stream.address import Address
from stream.errors import UsageError
from stream.pump import Sink
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks import device_schemes, existing, open_sink
from stream.sinks.encodings import check_alpha, encoding_of
from stream.sinks.file import FileSink
from stream.sinks.live.fan_out import FanOut
from stream.sinks.live.protocols import is_playlist, schemes
from stream.sinks.live.spec import OutputSpec, OutputStatus
from stream.sinks.parts.indexed_mp4 import FRAGMENTS
from stream.sinks.parts.partial import PartialRecording


@dataclass(frozen=True)
class Sending:
    """How outputs are encoded and connected; fields as in `OutputSpec`."""

    bitrate: int | None = None
    rate: float | None = None
    audio: Literal["copy", "off"] = "copy"
    token: str | None = field(default=None, repr=False)
    insecure: bool = False
    segment_s: float = 2.0


def output_addresses(texts: Sequence[str]) -> list[Address]:
    """Parse addresses of outputs. Raises UsageError, which does not quote them, also if two are equal."""
    found = [Address.read(text, ("stdout", *schemes())) for text in texts]
    if len({_location(address) for address in found}) < len(found):
        raise UsageError("two outputs have the same address")
    return found


def _location(address: Address) -> Address:
    """The address, spelled in one way if it is a file's."""
    return Address.file(address.path.resolve()) if address.scheme == "file" else address


def existing_files(addresses: Sequence[Address]) -> list[Path]:
    """The files and folders that outputs would replace. Raises UnsupportedOutput."""
    plain = [address for address in addresses if not is_playlist(address)]
    playlists = [address.path for address in addresses if is_playlist(address) and address.path.exists()]
    return [path for address in plain if (path := existing(address))] + playlists


def open_outputs(
    addresses: Sequence[Address],
    sending: Sending,
    options: Options,
    settings: Settings,
    on_state: Callable[[OutputStatus], object],
) -> Sink:
    """The sink for these outputs. Nothing is written or contacted before its `open`.

    A single file or device without special settings gets its own sink, which fails with it. Other outputs never hold
    up each other. Raises UsageError, DiskError.
    """
    if len(addresses) == 1 and _is_plain(addresses[0], sending):
        return _plain(addresses[0], options, settings)
    specs = [
        OutputSpec(
            address,
            sending.bitrate,
            sending.rate,
            sending.audio,
            sending.token,
            sending.insecure,
            segment_s=sending.segment_s,
        )
        for address in addresses
    ]
    return FanOut(specs, options, settings, on_state)


def _plain(address: Address, options: Options, settings: Settings) -> Sink:
    """The address's own sink. An MP4 file is written in fragments, so that a crash leaves a file that plays."""
    if address.scheme == "file" and address.path.suffix.lower() == ".mp4" and not address.path.is_dir():
        encoding = replace(encoding_of(address.path), muxer_options=FRAGMENTS)
        if options.wants_alpha:
            check_alpha(encoding)
        return FileSink(PartialRecording(address.path), encoding, settings)
    return open_sink(address, options, settings)


def _is_plain(address: Address, sending: Sending) -> bool:
    changed = sending.bitrate is not None or sending.rate is not None or sending.audio == "off"
    return address.scheme in ("file", "stdout", *device_schemes()) and not changed and not is_playlist(address)
