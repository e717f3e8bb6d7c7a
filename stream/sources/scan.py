"""Frame times and keyframes of a file, from its packets: at most a few frames are decoded, an hour takes about a
second."""

from array import array
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av

from stream.settings import Settings
from stream.sources import container as media
from stream.sources.extent import extent
from stream.sources.packets import packets
from stream.sources.raw_streams import is_raw, raw_rate
from stream.sources.reader import offset

_TRIED = 100  # frames that are decoded to find out whether times are those of presentation
_EXACT = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}  # seeking by time is exact, and times are reliable


@dataclass(frozen=True)
class Scan:
    """times: sorted times of all frames, in the stream's ticks from `start_s`. keys: those of keyframes.

    plain: times need no correction and seeking is exact, so that a part decoded by itself is the same as in the whole
    file; else the lists may be incomplete.
    """

    times: "array[int]"
    keys: "array[int]"
    plain: bool


def scan(
    path: Path,
    settings: Settings,
    start_s: float = 0.0,
    end_s: float | None = None,
    stream: int | None = None,
    beat: Callable[[], None] = lambda: None,
) -> Scan:
    """The frames between two times, in seconds from the start of the file. stream: the number of the video stream, as
    for `FileSource`. beat: called at each packet.

    Raises UnreadableMedia, NoVideoStream, TooLarge.
    """
    with media.open_container(path, settings) as container:
        video = media.video_stream(container, settings, stream)
        counted = is_raw(container)
        tick = 1 / raw_rate(container, video) if counted else video.time_base or Fraction(1, 90_000)
        shift = round(-start_s / tick) if counted else offset(container, tick, start_s)
        first = 0 if start_s > 0 else -(2**62)
        last = 2**62 if end_s is None else round(min((end_s - start_s) / tick, 2**62))
        times, keys, plain = array("q"), array("q"), container.format.name in _EXACT
        reordered, latest = not video.codec_context.has_b_frames, -(2**62)
        try:
            for number, packet in enumerate(packets(container, [video])):
                beat()
                if not packet.size or packet.is_discard:
                    continue
                pts = number if counted else packet.pts
                if pts is None:
                    plain = False
                    continue
                reordered, latest = reordered or pts < latest, pts
                if first <= pts + shift < last:
                    times.append(pts + shift)
                    if packet.is_keyframe:
                        keys.append(pts + shift)
        except av.error.FFmpegError:
            plain = False
        expected_s = extent(container, video).end_s
    ordered = array("q", sorted(times))
    if plain and not reordered:  # the reader computes other times if frames are reordered and their times are not
        plain = not _steps_back(path, settings, stream)
    plain = plain and len(set(ordered)) == len(ordered) > 0
    if plain and end_s is None and expected_s is not None:  # a truncated file is reported when it is read as a whole
        plain = start_s + float(ordered[-1] * tick) > expected_s - max(0.5, 0.02 * expected_s)
    return Scan(ordered, array("q", sorted(keys)), plain)


def _steps_back(path: Path, settings: Settings, stream: int | None) -> bool:
    """Whether the times of the first decoded frames, which are in the order of presentation, step back."""
    with media.open_container(path, settings) as container:
        video = media.video_stream(container, settings, stream)
        latest = -(2**62)
        with suppress(av.error.FFmpegError):
            for frame in islice(container.decode(video), _TRIED):
                if frame.pts is not None and frame.pts <= latest:
                    return True
                latest = latest if frame.pts is None else frame.pts
    return False
