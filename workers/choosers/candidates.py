"""Candidates for a subject in a frame, as records: a chooser's regions, numbered from the largest, with outlines."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from stream.errors import UnreadableMedia
from stream.picture.frames import Frame
from stream.records.candidates import Candidate, Outline
from stream.records.metadata import Metadata
from stream.records.subjects import Prompt
from stream.settings import Settings
from stream.sources import open_source
from stream.sources.base import SourceOptions
from workers.choosers.base import Lister, Region, Search

Mask = npt.NDArray[np.bool_]
_DECIMALS = 4  # of coordinates and shares
_STRAIGHT_PX = 0.8  # how far an outline's line may be from the mask's border, in pixels of the mask
_MS = 1000


def frame_at(path: Path, at_s: float, settings: Settings, stream: int | None = None) -> tuple[Frame, float]:
    """The first frame of a file at this time or after it, and its time; the frame of a picture has the time 0. stream:
    as in `SourceOptions`. Raises InputError."""
    options = SourceOptions(start_s=at_s, stream=stream, metadata=Metadata.DROP)
    with closing(open_source(path, options, settings)) as source:
        still = source.info.still is not None
        for item in source:
            if isinstance(item, Frame):
                return item, 0.0 if still else at_s + item.time_s
    raise UnreadableMedia(f"there is no frame at {at_s:g} s")


def find(chooser: Lister, frame: Frame, at_s: float, search: Search) -> list[Candidate]:
    """Those in one frame. at_s: its time from the start of the video, 0 for a picture. Raises EngineError."""
    return records(chooser.candidates(frame, search), at_s)


def records(regions: Sequence[Region], at_s: float) -> list[Candidate]:
    """The regions from the largest to the smallest."""
    ordered = sorted(regions, key=lambda region: np.count_nonzero(region.mask), reverse=True)
    return [_record(number, region, at_s) for number, region in enumerate(ordered, start=1)]


def _record(number: int, region: Region, at_s: float) -> Candidate:
    height, width = region.mask.shape
    left, top, wide, high = cv2.boundingRect(region.mask.view(np.uint8))
    return Candidate(
        number=number,
        subject=_timed(region.prompt, at_s).spec(),
        box=(_share(left, width), _share(top, height), _share(wide, width), _share(high, height)),
        area=round(float(region.mask.mean()), _DECIMALS),
        score=round(region.score, _DECIMALS),
        outlines=tuple(_outlines(region.mask)),
    )


def _timed(prompt: Prompt, at_s: float) -> Prompt:
    """With the frame's time, rounded down: a prompt must not be later than its frame. Classes have no time."""
    if prompt.kind == "class":
        return prompt
    return prompt.model_copy(update={"at_s": int(at_s * _MS + 1e-6) / _MS})


def _outlines(mask: Mask) -> Iterator[Outline]:
    """Through the centres of the pixels at the border, so each is half a pixel inside."""
    height, width = mask.shape
    lines, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for line in lines:
        corners = cv2.approxPolyDP(line, _STRAIGHT_PX, True)[:, 0]
        if len(corners) > 2:
            yield tuple((_share(x + 0.5, width), _share(y + 0.5, height)) for x, y in corners.tolist())


def _share(pixels: float, side: int) -> float:
    return round(pixels / side, _DECIMALS)
