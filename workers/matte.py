"""The core: one object per video. Holds its engine memory, smoothing state and backdrop: the Transform given to `pump`.

Three steps, each in a thread of its own so that they overlap: prepare (what needs no past), infer (in order, with the
video's memory), finish (steady alpha, bring it to full size, background, blend). Live video and files run the same
lines; they differ in how many frames may be under way, and in what happens when something goes wrong. A file fails; a
live camera shows its background: no unmatted pixel leaves because a model was slow or broke.
"""

import logging
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from stream.errors import BackgroundError, EngineError, MatteboxError, NotLoaded
from stream.log import OncePerSecond
from stream.picture.frames import Frame, Plane, VideoInfo
from stream.records.options import Options, Refine
from workers.device.threads import yield_to_others
from workers.edges.shape import EdgeState, dress, shape_alpha
from workers.engines.base import Engine, EngineState, Prepared, Result
from workers.scene.backgrounds import Backdrop
from workers.scene.blur import GREY
from workers.scene.composite import flat, render, shape, untouched
from workers.steady import smooth
from workers.steady.smooth import MattedFrame
from workers.steady.tuning import Tuning, choose, unfitted

Rendition = tuple[Options, Backdrop]
"""One way to show a matte: view and background of the options, and where that background comes from."""

_UNDER_WAY = 4  # frames of a file between the first step and the last


@dataclass(frozen=True)
class Past:
    """What is known of a video before its first frame here: for a part of it that is worked on by itself."""

    state: EngineState = None
    edges: EdgeState = field(default_factory=EdgeState)


class Matte:
    """Frames in, matted frames out, each composited with its own alpha.

    covered: live frames that got no matte, so that only their background was shown. passed: frames that were to stay as
    they are (background none), for which no engine runs.

    A file's frames may be held back, to keep all steps busy and to fill the engine's batch; live frames never are, but
    for those that `--temporal live+1` and `offline` wait for.
    The backdrop is the core's from now on. info: what comes out, known after `open`. Raises, for files only,
    EngineError and BackgroundError.

    others: further looks of the same matte, files only: they come out as `Frame.others`.
    """

    info: VideoInfo

    def __init__(
        self,
        options: Options,
        engine: Engine,
        backdrop: Backdrop,
        live: bool = False,
        others: Sequence[Rendition] = (),
        past: Past | None = None,
    ) -> None:
        self._options, self._engine, self._live = options, engine, live
        self._log = OncePerSecond(logging.getLogger(__name__))
        self._batch = 1 if live or engine.recurrent else engine.batch
        self._prepare = ThreadPoolExecutor(1, "prepare", initializer=yield_to_others)
        self._network = ThreadPoolExecutor(1, "infer")
        self._finisher = ThreadPoolExecutor(1, "finish", initializer=yield_to_others)
        self._waiting: list[tuple[Frame, Future[Prepared]]] = []
        self._pending: deque[Future[list[Frame]]] = deque()
        past = past or Past()
        self._state = past.state  # touched in the thread `infer` alone
        self._last: Frame | None = None  # and these in `finish`, as is the backdrop
        self._steadied: smooth.SmoothState | None = None
        self._edge = past.edges
        self._backdrop = backdrop
        self._others = others
        self._tuning = self._tuned()
        self._begun = False
        self._passes = self._untouched()
        self.covered = self.passed = 0

    def open(self, info: VideoInfo) -> VideoInfo:
        """What will come out for a video of this shape."""
        others = tuple(shape(info, options) for options, _ in self._others)
        self._seen, self.info = info, replace(shape(info, self._options), others=others)
        return self.info

    def __call__(self, frame: Frame) -> list[Frame]:
        if self._passes:
            self._pending.append(self._finisher.submit(self._pass, frame))
        elif frame.slate:
            self._start_waiting()
            self._network.submit(self._forget)
            self._pending.append(self._finisher.submit(self._away, frame))
        elif frame.damaged and self._begun:
            self._start_waiting()
            self._pending.append(self._finisher.submit(self._repeat, frame))
        else:
            self._begun = True
            self._waiting.append((frame, self._prepare.submit(self._prepared, frame)))
            if len(self._waiting) >= self._batch:
                self._start_waiting()
        return self._collect(0 if self._live else _UNDER_WAY * self._batch)

    def swap(
        self,
        options: Options,
        engine: Engine | None = None,
        backdrop: Backdrop | None = None,
        info: VideoInfo | None = None,
    ) -> VideoInfo:
        """Go on with other options, or another size, from the next frame; gives what comes out then. Live only.

        To be called by the thread that calls the frames in, between two of them: a live video has none under way
        then. None keeps what there is; an old backdrop is closed, an old engine stays its owner's.
        """
        self._options = options
        if self._passes or info is not None or (engine is not None and engine is not self._engine):
            self._state = self._steadied = None  # of long ago, of pictures of another size, or another engine's
        self._engine = engine or self._engine
        tuning = self._tuned()
        if tuning != self._tuning:
            self._tuning, self._steadied = tuning, None
        self._passes = self._untouched()
        if backdrop is not None and backdrop is not self._backdrop:
            self._backdrop.close()
            self._backdrop = backdrop
        self._last = None  # drawn by the old options
        return self.open(info or self._seen)

    def flush(self) -> list[Frame]:
        self._start_waiting()
        self._pending.append(self._finisher.submit(self._finish_held))
        return self._collect(0)

    def close(self) -> None:
        for step in (self._prepare, self._network, self._finisher):
            step.shutdown(cancel_futures=True)
        for _, backdrop in self._looks():
            backdrop.close()

    def _start_waiting(self) -> None:
        """Send the waiting frames through the network in one call, and each on to be finished."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        results = self._network.submit(self._infer, [prepared for _, prepared in waiting])
        for index, (frame, _) in enumerate(waiting):
            self._pending.append(self._finisher.submit(self._finish, frame, results, index))

    def _collect(self, keep: int) -> list[Frame]:
        done: list[Frame] = []
        while len(self._pending) > keep:
            done += self._pending.popleft().result()
        return done

    def _prepared(self, frame: Frame) -> Prepared:
        prepared = self._engine.prepare(frame)
        if self._live and self._tuning is not None:
            return self._engine.steadied(prepared, frame, self._tuning)
        return prepared

    def _infer(self, prepared: Sequence[Future[Prepared]]) -> list[Result | None]:
        """One result for each frame; None, live only, where the engine failed."""
        try:
            inputs = [future.result() for future in prepared]
            results = self._engine.infer(inputs, [self._state] * len(inputs))
        except Exception as exc:  # whatever it was: a live picture must be covered, a file must say so
            if not self._live:
                if isinstance(exc, MatteboxError):
                    raise
                raise EngineError(f"{self._engine.name} failed: {exc}") from exc
            if not isinstance(exc, NotLoaded):
                self._log.warning("%s failed, showing the background: %s", self._engine.name, exc)
            self._state = None
            return [None] * len(prepared)
        self._state = results[-1].state
        return list(results)

    def _finish(self, frame: Frame, results: Future[list[Result | None]], index: int) -> list[Frame]:
        """This frame, or what waited for it: steadying may hold frames back, and each keeps its alpha with it."""
        result = results.result()[index]
        if result is None:
            return self._away(frame)
        matted = MattedFrame(frame, result.alpha, result.foreground)
        if self._tuning is None or result.steady:
            return [self._composite(matted)]
        self._steadied, steady = smooth.step(self._steadied, matted, self._tuning)
        return [self._composite(one) for one in steady]

    def _forget(self) -> None:
        self._state = None

    def _away(self, frame: Frame) -> list[Frame]:
        """Nothing was seen: what was held leaves, and whatever comes next begins anew."""
        done, self._steadied = self._finish_held(), None
        return [*done, self._covered(frame)]

    def _finish_held(self) -> list[Frame]:
        """The frames that steadying still holds, which no later one will help any more."""
        if self._steadied is None or self._tuning is None:
            return []
        self._steadied, steady = smooth.flush(self._steadied, self._tuning)
        return [self._composite(one) for one in steady]

    def _composite(self, matted: MattedFrame) -> Frame:
        frame = matted.frame
        self._edge, alpha = shape_alpha(self._edge, matted.alpha, frame, self._options.edges)
        self._last = _beside([self._shown(frame, alpha, matted.foreground, look) for look in self._looks()])
        return self._last

    def _shown(self, frame: Frame, alpha: Plane, foreground: Plane | None, look: Rendition) -> Frame:
        (options, backdrop), edges = look, self._options.edges
        background = self._behind(frame, alpha, backdrop)
        self._edge, subject = dress(self._edge, frame, alpha, foreground, background, edges, options.view)
        return render(frame, alpha, subject, background, options.view)

    def _looks(self) -> list[Rendition]:
        return [(self._options, self._backdrop), *self._others]

    def _untouched(self) -> bool:
        return all(untouched(options) for options, _ in self._looks())

    def _tuned(self) -> Tuning | None:
        options = self._options
        tuning = choose(options.temporal, options.temporal_strength, self._engine.name, self._live)
        return unfitted(tuning) if tuning and options.edges.refine is Refine.OFF else tuning

    def _behind(self, frame: Frame, alpha: Plane, backdrop: Backdrop) -> Plane | None:
        """The background of this moment. A live one that cannot be read any more gives way to grey."""
        try:
            return backdrop.at(frame, alpha)
        except BackgroundError as exc:
            if not self._live:
                raise
            self._log.warning("%s; showing grey", exc)
            return flat(*GREY, frame.width, frame.height)

    def _pass(self, frame: Frame) -> list[Frame]:
        self.passed += 1
        return [_beside([frame] * len(self._looks()))]

    def _repeat(self, frame: Frame) -> list[Frame]:
        """The last good result at the time of a damaged frame."""
        done = self._finish_held()
        if self._last is None:
            return [*done, self._covered(frame)]
        looks = [self._last, *self._last.others]
        return [*done, _beside([replace(look, pts=frame.pts, time_base=frame.time_base) for look in looks])]

    def _covered(self, frame: Frame) -> Frame:
        """What leaves instead of a picture that has no matte: the background alone, grey where that is the room."""
        self.covered += 1
        nothing = np.zeros((frame.height, frame.width), np.uint8)
        empty = frame.with_pixels(flat(*GREY, frame.width, frame.height), alpha=frame.alpha)
        looks = ((options.view, self._behind(empty, nothing, backdrop)) for options, backdrop in self._looks())
        return _beside([render(empty, nothing, None, background, view) for view, background in looks])


def _beside(looks: Sequence[Frame]) -> Frame:
    """One frame that carries the others."""
    return replace(looks[0], others=tuple(looks[1:])) if len(looks) > 1 else looks[0]
