"""The ways in which one matte is shown, each with its own view and background, all drawn from the same alpha.

Also what leaves where a frame has no matte: the background alone, or the last good result. All of it is called in one
thread. Knows nothing about engines.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stream.errors import BackgroundError
from stream.log import OncePerSecond
from stream.picture.frames import Frame, Plane, VideoInfo
from stream.records.options import Options
from workers.edges.shape import EdgeState, dress, shape_alpha
from workers.scene.backgrounds import Backdrop
from workers.scene.blur import GREY
from workers.scene.composite import flat, render, shape, untouched
from workers.steady.smooth import MattedFrame


@dataclass(frozen=True)
class Rendition:
    """One way to show a matte. options: its view and background. backdrop: where that background comes from."""

    options: Options
    backdrop: Backdrop


class Renditions:
    """All renditions of one video's matte: the first as the frame itself, the others as its `Frame.others`.

    The edges are those of the first one's options. edge_state: what the edges know of the video already. live: a
    background that cannot be read gives way to grey; else BackgroundError is raised.

    covered: frames that got no matte, so that only their background was shown. passed: frames that left as they came.
    """

    def __init__(self, first: Rendition, others: Sequence[Rendition], edge_state: EdgeState, live: bool) -> None:
        self._first, self._others, self._edge, self._live = first, others, edge_state, live
        self._log = OncePerSecond(logging.getLogger(__name__))
        self._last: Frame | None = None
        self.untouched = self._leave_untouched()
        self.covered = self.passed = 0

    def __iter__(self) -> Iterator[Rendition]:
        yield self._first
        yield from self._others

    def shape(self, info: VideoInfo) -> VideoInfo:
        """What comes out for a video of this shape."""
        others = tuple(shape(info, rendition.options) for rendition in self._others)
        return replace(shape(info, self._first.options), others=others)

    def swap(self, options: Options, backdrop: Backdrop | None) -> None:
        """Show the first one otherwise from now on. None keeps its backdrop; an old one is closed."""
        before = self._first.backdrop
        if backdrop is not None and backdrop is not before:
            before.close()
        self._first = Rendition(options, backdrop or before)
        self._last = None  # drawn by the old options
        self.untouched = self._leave_untouched()

    def close(self) -> None:
        for rendition in self:
            rendition.backdrop.close()

    def draw(self, matted: MattedFrame) -> Frame:
        frame = matted.frame
        self._edge, alpha = shape_alpha(self._edge, matted.alpha, frame, self._first.options.edges)
        self._last = _beside([self._drawn(frame, alpha, matted.foreground, rendition) for rendition in self])
        return self._last

    def pass_on(self, frame: Frame) -> Frame:
        """The frame as it came, in every rendition."""
        self.passed += 1
        return _beside([frame] * (1 + len(self._others)))

    def cover(self, frame: Frame) -> Frame:
        """For a picture that has no matte: the background alone, or grey where the background shows the room."""
        self.covered += 1
        nothing = np.zeros((frame.height, frame.width), np.uint8)
        empty = frame.with_pixels(flat(*GREY, frame.width, frame.height), alpha=frame.alpha)
        return _beside([self._covered(empty, nothing, rendition) for rendition in self])

    def repeat(self, frame: Frame) -> Frame:
        """For a damaged frame: the last good result at its time; where there is none, it is covered."""
        if self._last is None:
            return self.cover(frame)
        last = self._last, *self._last.others
        return _beside([replace(drawn, pts=frame.pts, time_base=frame.time_base) for drawn in last])

    def _drawn(self, frame: Frame, alpha: Plane, foreground: Plane | None, rendition: Rendition) -> Frame:
        view, edges = rendition.options.view, self._first.options.edges
        background = self._background(frame, alpha, rendition.backdrop)
        self._edge, subject = dress(self._edge, frame, alpha, foreground, background, edges, view)
        return render(frame, alpha, subject, background, view)

    def _covered(self, empty: Frame, nothing: Plane, rendition: Rendition) -> Frame:
        background = self._background(empty, nothing, rendition.backdrop)
        return render(empty, nothing, None, background, rendition.options.view)

    def _background(self, frame: Frame, alpha: Plane, backdrop: Backdrop) -> Plane | None:
        """The background of this moment. A live one that can no longer be read gives way to grey."""
        try:
            return backdrop.at(frame, alpha)
        except BackgroundError as exc:
            if not self._live:
                raise
            self._log.warning("%s; showing grey", exc)
            return flat(*GREY, frame.width, frame.height)

    def _leave_untouched(self) -> bool:
        return all(untouched(rendition.options) for rendition in self)


def _beside(renditions: Sequence[Frame]) -> Frame:
    """One frame that carries the others."""
    return replace(renditions[0], others=tuple(renditions[1:])) if len(renditions) > 1 else renditions[0]
