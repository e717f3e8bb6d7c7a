"""A plain relay from RTSP to RTSP without decoding, like `ffmpeg -c copy`: what `mattebox bench feed` compares with.

Run as `python -m workers.bench.relay SRC DST`. It opens the source with the same options as Mattebox.
"""

import sys

import av

from stream.settings import settings
from stream.sinks.live.protocols import PROTOCOLS as OUTPUTS
from stream.sources.live.protocols import PROTOCOLS as SOURCES


def main(source: str, target: str) -> None:
    """Relay until the source ends or the process is killed."""
    options = SOURCES["rtsp"].all_options(settings(), insecure=False)
    with (
        av.open(source, options=options) as reader,
        av.open(target, "w", format="rtsp", options=OUTPUTS["rtsp"].options | {"flush_packets": "1"}) as writer,
    ):
        stream = writer.add_stream_from_template(reader.streams.video[0], opaque=True)
        for packet in reader.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                writer.mux(packet)


if __name__ == "__main__":
    main(*sys.argv[1:])
