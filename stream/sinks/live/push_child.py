"""The child process of `push.py`: muxes packets from standard input to an output. Run as a file, by its path.

Imports nothing of Mattebox, so that it starts fast. Reads, each with its length before it: a request (JSON), the header
of the tracks (NUT), then packets until the end of the input. Writes lines of JSON to standard output: {"state": "open"}
when the output is open, and {"error", "errno", "opened"} if it fails; never FFmpeg's messages, which quote the address.
"""

import io
import json
import os
import runpy
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO, cast

import av

FRAME = struct.Struct("<BBqqqI")  # as in push.py
LENGTH = struct.Struct("<I")
INDEXED_MP4 = Path(__file__).parents[1] / "parts" / "indexed_mp4.py"


def block(source: BinaryIO) -> bytes:
    (length,) = LENGTH.unpack(source.read(LENGTH.size))
    return source.read(length)


def report(**fields: object) -> None:
    os.write(1, json.dumps(fields).encode() + b"\n")


class Output:
    """The muxer, and the program or the file with an index behind it if there is one."""

    def __init__(self, request: dict[str, Any], header: bytes) -> None:
        self._program = subprocess.Popen(request["command"], stdin=subprocess.PIPE) if request["command"] else None
        options = {"max_interleave_delta": "1", "flush_packets": "1", **request["options"]}
        # a packet waits at most for the next one of either track
        path = request["indexed"]
        self._file = runpy.run_path(str(INDEXED_MP4))["IndexedMp4"](Path(path)) if path else None
        target: Any = self._program.stdin if self._program else self._file or request["url"]
        self._container = av.open(target, "w", format=request["muxer"], options=options)
        self._templates = av.open(io.BytesIO(header), format="nut", options={"probesize": "32", "analyzeduration": "0"})
        self._clocks = [stream.time_base for stream in self._templates.streams]
        self._streams = [
            self._container.add_stream_from_template(stream, opaque=True) for stream in self._templates.streams
        ]
        self._container.start_encoding()

    def write(self, source: BinaryIO, head: bytes) -> None:
        track, key, pts, dts, duration, size = FRAME.unpack(head)
        packet = av.Packet(source.read(size))
        packet.stream, packet.time_base = self._streams[track], cast(Any, self._clocks[track])
        packet.pts, packet.dts, packet.duration, packet.is_keyframe = pts, dts, duration, bool(key)
        self._container.mux(packet)

    def close(self) -> None:
        self._container.close()
        if self._file is not None:
            self._file.complete()
        if self._program is not None and self._program.stdin is not None:
            self._program.stdin.close()
            self._program.wait()


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to all processes of a service; the parent ends this one
        signal.signal(number, signal.SIG_IGN)
    source, opened = sys.stdin.buffer, False
    try:
        request = json.loads(block(source))
        output = Output(request, block(source))
        opened = True
        report(state="open")
        while len(head := source.read(FRAME.size)) == FRAME.size:
            output.write(source, head)
        output.close()
    except Exception as exc:  # noqa: BLE001 - the parent decides
        report(error=type(exc).__name__, errno=getattr(exc, "errno", 0) or 0, opened=opened)
        os._exit(1)  # without FFmpeg's clean-up, which may wait for the peer
    return 0


if __name__ == "__main__":
    sys.exit(main())
