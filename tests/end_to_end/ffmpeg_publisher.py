"""A WHIP publisher with the whip muxer of PyAV's FFmpeg, run as a program. Its exit code is 0 if everything was sent.

The muxer has its own ICE, DTLS and SRTP, and shares no code with aiortc.
"""

import argparse
import time
from fractions import Fraction

import av
import numpy as np

from tests.media import numbered

_RATE = 30
_SAMPLES = 48_000 // 50  # Opus frames of 20 ms


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--sound", action="store_true")
    parser.add_argument("--profile", default="Constrained Baseline")
    parser.add_argument("--option", action="append", default=[], help="an option of the muxer, NAME=VALUE")
    parser.add_argument("--seconds", type=float, default=3.0)
    publish(parser.parse_args())


def publish(options: argparse.Namespace) -> None:
    muxer = dict(pair.split("=", 1) for pair in options.option)
    with av.open(options.url, "w", format="whip", options=muxer) as out:
        video = out.add_stream("libx264", rate=_RATE, options={"preset": "ultrafast", "tune": "zerolatency"})
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        video.codec_context.profile, video.codec_context.gop_size = options.profile, _RATE
        video.codec_context.max_b_frames = 0
        sound = out.add_stream("libopus", rate=48_000, layout="stereo") if options.sound else None
        start_s, heard = time.monotonic(), 0
        for n in range(round(options.seconds * _RATE)):
            out.mux(video.encode(picture(n)))
            while sound is not None and heard * _RATE < n * 48_000:
                out.mux(sound.encode(silence(heard)))
                heard += _SAMPLES
            time.sleep(max(0.0, start_s + n / _RATE - time.monotonic()))


def picture(n: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(numbered(n % 256, 320, 240), format="rgb24").reformat(format="yuv420p")
    frame.pts, frame.time_base = n, Fraction(1, _RATE)
    return frame


def silence(pts: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 2 * _SAMPLES), np.int16), format="s16", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, pts, Fraction(1, 48_000)
    return frame


if __name__ == "__main__":
    main()
