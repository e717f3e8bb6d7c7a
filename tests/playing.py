"""Plays a clip at its own pace, again and again, to a URL or a file object: a publisher for tests.

As a program: `python -m tests.playing CLIP URL FORMAT [NAME=VALUE...]` with options of FFmpeg's muxer.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from stream.serve.die_with_parent import tied
from tests.media import ROOT

_AHEAD_S = 0.02


def play(clip: Path, target: Any, kind: str, options: Mapping[str, str], pace: bool = True) -> None:
    """Copy the packets of a clip until the target refuses them. kind: FFmpeg's name of the format.

    Times go on from one repetition to the next.
    """
    with av.open(target, "w", format=kind, options=dict(options)) as output:
        began_s, shift_s = time.monotonic(), Fraction(0)
        streams: dict[int, Any] = {}
        while True:
            with av.open(clip) as source:
                length_s = Fraction(source.duration or 0, av.time_base)
                for stream in source.streams:
                    streams.setdefault(stream.index, output.add_stream_from_template(stream))
                for packet in source.demux():
                    if packet.dts is None or packet.time_base is None:
                        continue
                    time_s = packet.dts * packet.time_base + shift_s
                    if pace:
                        time.sleep(max(0.0, float(time_s) - _AHEAD_S - (time.monotonic() - began_s)))
                    shift = round(shift_s / packet.time_base)
                    packet.stream = streams[packet.stream.index]
                    packet.pts, packet.dts = (packet.pts or 0) + shift, packet.dts + shift
                    output.mux(packet)
            shift_s += length_s


@contextmanager
def playing(clip: Path, url: str, kind: str, **options: str) -> Iterator["subprocess.Popen[bytes]"]:
    """The running program; it is killed afterwards."""
    words = [f"{name}={value}" for name, value in options.items()]
    argv = [sys.executable, "-m", "tests.playing", str(clip), url, kind, *words]
    process = subprocess.Popen(tied(argv), cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    play(Path(sys.argv[1]), sys.argv[2], sys.argv[3], dict(word.split("=", 1) for word in sys.argv[4:]))
