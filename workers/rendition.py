"""Renditions of a matte: the outputs that are drawn from the same alpha, each with its own view and background.

A frame without a matte is replaced by the background alone, or by the last good result. Used by a single thread. Knows
nothing about engines.
"""

import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stream.errors import BackgroundError
from stream.log import OncePerSecond
from stream.picture.frames import Alpha, Frame, Plane, VideoInfo
from stream.records.options import FeedOptions, Options
from workers import privacy
from workers.edges import shares
from workers.edges.shape import EdgeState, dress, shape_alpha
from workers.scene.backgrounds import Backdrop
from workers.scene.blur import GREY
from workers.scene.composite import flat, render, shape, untouched
from workers.steady.smooth import MattedFrame


@dataclass(frozen=True)
class Rendition:
    """One output of a matte. options: has its view and background. backdrop: the opened source of the background.
    subject: names of the only subjects that it shows; (): all that are kept."""

    options: Options
    backdrop: Backdrop
    subject: tuple[str, ...] = ()


class Renditions:
    """All renditions of one video. A method that draws returns the first rendition, with the others as `Frame.others`.

    All renditions use the edge options of the first. edge_state: the edge controls' initial state. live: if a
    background cannot be read, show grey instead of raising BackgroundError.

    untouched: whether frames need no matte, because all renditions show them unchanged. covered: number of frames
    without a matte, for which only the background was shown. slates: number of slates. passed: number of frames passed
    on unchanged.
    """

    def __init__(self, first: Rendition, others: Sequence[Rendition], edge_state: EdgeState, live: bool) -> None:
        self._first, self._others, self._edge, self._live = first, others, edge_state, live
        self._log = OncePerSecond(logging.getLogger(__name__))
        self._last: Frame | None = None
        self.untouched = self._leave_untouched()
        self._slates = self._new_slates()
        self.covered = self.passed = self.slates = 0

    def __iter__(self) -> Iterator[Rendition]:
        yield self._first
        yield from self._others

    def shape(self, info: VideoInfo) -> VideoInfo:
        """Properties of the output for an input with these properties."""
        others = tuple(shape(info, rendition.options) for rendition in self._others)
        return replace(shape(info, self._first.options), others=others)

    def swap(self, options: Options, backdrop: Backdrop | None) -> None:
        """Change options and backdrop of the first rendition. None keeps the backdrop; a replaced one is closed."""
        before = self._first.backdrop
        if backdrop is not None and backdrop is not before:
            before.close()
        self._first = replace(self._first, options=options, backdrop=backdrop or before)
        self._last = None  # drawn with the old options
        self._slates = self._new_slates()
        self.untouched = self._leave_untouched()

    def set_others(self, others: Sequence[Rendition]) -> None:
        """Draw these besides the first from the next frame on. Those left out are closed."""
        left = [rendition for rendition in self._others if rendition not in others]
        self._others, self._last = others, None  # the last result lacks the new ones
        self._slates = self._new_slates()
        self.untouched = self._leave_untouched()
        for rendition in left:
            rendition.backdrop.close()

    def close(self) -> None:
        for rendition in self:
            rendition.backdrop.close()

    def shares(self, regions: Mapping[str, Alpha]) -> shares.Shares:
        """The shares of the subjects with these regions, for `MattedFrame`; {} if no rendition shows only some."""
        return shares.shares(regions) if any(rendition.subject for rendition in self) else {}

    def draw(self, matted: MattedFrame) -> Frame:
        """A frame with its matte, in every rendition."""
        frame = matted.frame
        self._edge, alpha = shape_alpha(self._edge, matted.alpha, frame, self._first.options.edges)
        parts = shares.split(alpha, matted.shares, frame.pixels[: frame.height]) if matted.shares else {}
        alphas = [_of(rendition.subject, parts, alpha) for rendition in self]
        self._last = _beside(
            [self._drawn(frame, own, matted.foreground, each) for own, each in zip(alphas, self, strict=True)]
        )
        return self._last

    def pass_on(self, frame: Frame) -> Frame:
        """The unchanged frame, in every rendition."""
        self.passed += 1
        return _beside([frame] * (1 + len(self._others)))

    def slate(self, frame: Frame) -> Frame:
        """The background and the text of the options, for a slate, in every rendition."""
        self.slates += 1
        return _beside([self._slate(frame, *each) for each in zip(self, self._slates, strict=True)])

    def cover(self, frame: Frame) -> Frame:
        """The background alone, for a frame without a matte, in every rendition (`workers/privacy.py`)."""
        self.covered += 1
        return _beside([self._covered(frame, rendition) for rendition in self])

    def repeat(self, frame: Frame) -> Frame:
        """The last good result, for a damaged frame and at its time. If there is none, the frame is covered."""
        if self._last is None:
            return self.cover(frame)
        last = self._last, *self._last.others
        return _beside([replace(drawn, pts=frame.pts, time_base=frame.time_base) for drawn in last])

    def _drawn(self, frame: Frame, alpha: Plane, foreground: Plane | None, rendition: Rendition) -> Frame:
        view, edges = rendition.options.view, self._first.options.edges
        background = self._background(frame, alpha, rendition.backdrop)
        self._edge, subject = dress(self._edge, frame, alpha, foreground, background, edges, view)
        return render(frame, alpha, subject, background, view)

    def _covered(self, frame: Frame, rendition: Rendition) -> Frame:
        if untouched(rendition.options):  # as without the other renditions
            return frame

        def background(shown: Frame, alpha: Plane) -> Plane | None:
            return self._background(shown, alpha, rendition.backdrop)

        return privacy.covered(frame, background, rendition.options.view)

    def _slate(self, frame: Frame, rendition: Rendition, draw: privacy.Slates) -> Frame:
        def background(shown: Frame, alpha: Plane) -> Plane | None:
            return self._background(shown, alpha, rendition.backdrop)

        return draw(frame, background, rendition.options.view, _text(self._first.options))

    def _new_slates(self) -> list[privacy.Slates]:
        return [privacy.Slates() for _ in self]

    def _background(self, frame: Frame, alpha: Plane, backdrop: Backdrop) -> Plane | None:
        """The background at the time of the frame; in live video grey, if the background can no longer be read."""
        try:
            return backdrop.at(frame, alpha)
        except BackgroundError as exc:
            if not self._live:
                raise
            self._log.warning("%s; showing grey", exc)
            return flat(*GREY, frame.width, frame.height)

    def _leave_untouched(self) -> bool:
        return all(untouched(rendition.options) for rendition in self)


def _of(subject: Sequence[str], parts: Mapping[str, Plane], alpha: Plane) -> Plane:
    """The alpha of these subjects. parts: of each that was found. alpha: of all, for no names."""
    if not subject:
        return alpha
    found = [parts[name] for name in subject if name in parts]
    return functools.reduce(np.add, found, np.zeros_like(alpha))  # together at most `alpha`


def _beside(renditions: Sequence[Frame]) -> Frame:
    """The first rendition, with the others as its `Frame.others`."""
    return replace(renditions[0], others=tuple(renditions[1:])) if len(renditions) > 1 else renditions[0]


def _text(options: Options) -> str:
    return options.slate if isinstance(options, FeedOptions) else ""
