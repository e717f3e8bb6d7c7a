"""Where pictures go: one file a kind. `SINKS` names them, imported on use; `open_sink` picks by an output's name."""

from pathlib import Path

from stream.pump import Sink
from stream.records.options import Options
from stream.registry import find
from stream.settings import Settings
from stream.sinks.formats import check_alpha, format_of

SINKS = {
    "file": "stream.sinks.file:FileSink",
    "images": "stream.sinks.images:ImagesSink",
    "webrtc": "stream.rtc.sink:LiveOutput",
}


def open_sink(path: Path, options: Options, settings: Settings) -> Sink:
    """The sink for an output of this name; nothing is written yet. Raises UnsupportedOutput, DiskError."""
    chosen = format_of(path)
    if options.wants_alpha:
        check_alpha(chosen)
    sink: Sink = find(SINKS["file" if chosen.container else "images"])(path, chosen, settings)
    return sink
