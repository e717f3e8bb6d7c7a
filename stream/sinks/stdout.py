"""Sink for standard output: a video or a picture in a format that needs no seeking, for the next program of a pipe."""

from dataclasses import replace
from typing import Self

from stream.address import Address
from stream.errors import UnsupportedOutput
from stream.picture.frames import VideoInfo
from stream.pump import Item, Sink, Warnings
from stream.records import formats
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks.encodings import ENCODINGS
from stream.sinks.file import FileSink
from stream.sinks.parts.stdout import Stdout
from stream.sinks.picture import PictureSink

_MUXER_OPTIONS = {"mp4": {"movflags": "frag_keyframe+empty_moov+default_base_moof"}}  # a whole index needs seeking


class StdoutSink:
    """As an address: stdout:FORMAT, with the name of a format. Raises UsageError if standard output is a terminal."""

    @classmethod
    def from_address(cls, address: Address, options: Options, settings: Settings) -> Self:
        """Raises UnsupportedOutput too."""
        chosen = check_format(address.name)
        if options.wants_alpha:
            formats.check_alpha(chosen)
        return cls(chosen, settings)

    def __init__(self, chosen: formats.OutputFormat, settings: Settings) -> None:
        self._sink: Sink
        if chosen.still:
            self._sink = PictureSink(Stdout(), chosen)
            return
        encoding = ENCODINGS[chosen.suffix]
        muxer_options = _MUXER_OPTIONS.get(encoding.container, encoding.muxer_options)
        self._sink = FileSink(Stdout(), replace(encoding, muxer_options=muxer_options), settings)

    @property
    def warnings(self) -> Warnings:
        return self._sink.warnings

    def open(self, info: VideoInfo) -> None:
        self._sink.open(info)

    def write(self, item: Item) -> None:
        self._sink.write(item)

    def close(self) -> None:
        self._sink.close()

    def abort(self) -> None:
        self._sink.abort()


def check_format(name: str) -> formats.OutputFormat:
    """The format with this name. Raises UnsupportedOutput if it cannot be written to a pipe; lists those that can."""
    chosen = formats.FORMATS.get(name)
    if chosen is None or not chosen.piped:
        piped = ", ".join(f.name for f in formats.FORMATS.values() if f.piped)
        raise UnsupportedOutput(f"standard output needs a format that can be written to a pipe: {piped}")
    return chosen
