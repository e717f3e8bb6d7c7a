"""The core: one object per video. Holds its engine memory and backdrop, and is the Transform given to `pump`.

Live video and files run the same lines; they differ in what happens when something goes wrong. A file fails, a live
camera shows its background: no unmatted pixel leaves because a model was slow or broke.
"""

import logging
from dataclasses import replace
from itertools import repeat

import cv2
import numpy as np

from stream.errors import EngineError
from stream.frames import Frame, Plane, VideoInfo
from stream.log import OncePerSecond
from stream.session import Options
from stream.settings import Settings
from workers.backgrounds import Backdrop, open_background
from workers.composite import flat, render, shape
from workers.engines.base import Alpha, Engine, Result, State

_GREY = (126, 128, 128)
_log = OncePerSecond(logging.getLogger(__name__))


class Matte:
    """Frames in, matted frames out, each composited with its own alpha.

    For files, frames may be held back to fill the engine's batch; live frames never are. info: what comes out, known
    after `open`.
    """

    info: VideoInfo

    def __init__(self, options: Options, engine: Engine, settings: Settings, live: bool = False) -> None:
        self._options, self._engine, self._settings, self._live = options, engine, settings, live
        self._batch = 1 if live or engine.recurrent else engine.batch
        self._state: State = None
        self._waiting: list[Frame] = []
        self._last: Frame | None = None
        self._backdrop: Backdrop | None = None

    def open(self, info: VideoInfo) -> VideoInfo:
        """Get ready for a video of this shape and say what will come out. Raises BackgroundError."""
        self._backdrop = open_background(self._options.background, info.width, info.height, self._settings)
        self.info = shape(info, self._options)
        return self.info

    def __call__(self, frame: Frame) -> list[Frame]:
        if frame.damaged and self._last is not None:
            return [*self.flush(), self._held(frame)]
        self._waiting.append(frame)
        return self.flush() if len(self._waiting) >= self._batch else []

    def flush(self) -> list[Frame]:
        frames, self._waiting = self._waiting, []
        return [self._finish(*pair) for pair in zip(frames, self._infer(frames), strict=True)]

    def close(self) -> None:
        if self._backdrop is not None:
            self._backdrop.close()

    def _infer(self, frames: list[Frame]) -> list[Result | None]:
        """One result for each frame; None, live only, where the engine failed."""
        if not frames:
            return []
        states = [self._state] if self._engine.recurrent else list(repeat(self._state, len(frames)))
        try:
            results = self._engine.infer(frames, states)
        except Exception as exc:  # whatever it was: a live picture must be covered, a file must say so
            if not self._live:
                raise EngineError(f"{self._engine.name} failed: {exc}") from exc
            _log.warning("%s failed, showing the background: %s", self._engine.name, exc)
            self._state = None
            return [None] * len(frames)
        self._state = results[-1].state
        return list(results)

    def _finish(self, frame: Frame, result: Result | None) -> Frame:
        if result is None:
            return self._covered(frame)
        assert self._backdrop is not None
        alpha = _full_size(result.alpha, frame)
        background = self._backdrop.at(frame, alpha)
        self._last = render(frame, alpha, result.foreground, background, self._options.view)
        return self._last

    def _held(self, frame: Frame) -> Frame:
        assert self._last is not None
        return replace(self._last, pts=frame.pts, time_base=frame.time_base)

    def _covered(self, frame: Frame) -> Frame:
        """What leaves instead of a picture that has no matte: the background alone, grey where that is the room."""
        assert self._backdrop is not None
        nothing = np.zeros((frame.height, frame.width), np.uint8)
        empty = frame.with_pixels(flat(*_GREY, frame.width, frame.height), alpha=frame.alpha)
        background = self._backdrop.at(empty, nothing)
        return render(empty, nothing, None, background, self._options.view)


def _full_size(alpha: Alpha, frame: Frame) -> Plane:
    """The engine's alpha as uint8 (H, W) of the frame: kept in float up to the last step."""
    if alpha.shape != (frame.height, frame.width):
        alpha = np.asarray(cv2.resize(alpha, (frame.width, frame.height), interpolation=cv2.INTER_LINEAR), np.float32)
    return np.asarray(cv2.convertScaleAbs(alpha, alpha=255.0), np.uint8)
