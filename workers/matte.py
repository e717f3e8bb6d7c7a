"""Matting of one video: `Matte`, the Transform that `pump` runs. It holds the engine's and the smoothing's state.

Three steps, each in a thread of its own so that they overlap: prepare (independent of earlier frames), infer (in order,
with the engine's state), finish (smooth and upsample alpha, draw the background, blend). Live video and files share
this code; they differ in the number of frames in progress and in error handling. When the engine is slow or fails, a
file fails, but live video shows its background, so that no unmatted pixel is visible.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from stream.errors import EngineError, InputError, MatteboxError, NotLoaded, UsageError
from stream.log import OncePerSecond
from stream.picture.frames import Frame, VideoInfo
from stream.records.options import Options, Refine
from workers.choosers import unsure
from workers.choosers.unsure import Lost, Unsure
from workers.device.threads import yield_to_others
from workers.edges.shape import EdgeState
from workers.engines.base import Engine, EngineState, Prepared, Result
from workers.engines.with_subjects import FADE_S
from workers.rendition import Rendition, Renditions
from workers.scene.backgrounds import Backdrop
from workers.steady import smooth
from workers.steady.smooth import MattedFrame
from workers.steady.tuning import Tuning, choose, unfitted

_IN_PROGRESS = 4  # frames of a file between the first step and the last, besides those that smoothing finishes together


@dataclass(frozen=True)
class Past:
    """Initial state of a `Matte` that processes only a segment of a video: what was measured on the first frame.

    state: of the engine. edges: of the edge controls. The defaults are for the start of a video.
    """

    state: EngineState = None
    edges: EdgeState = field(default_factory=EdgeState)


class _Steps:
    """The three threads, and the frames in progress, in order."""

    def __init__(self) -> None:
        self.prepare = ThreadPoolExecutor(1, "prepare", initializer=yield_to_others)
        self.infer = ThreadPoolExecutor(1, "infer")
        # of normal priority: with smoothing it can take as long as the network, and would hold up the encoder
        self._finish = ThreadPoolExecutor(1, "finish")
        self._pending: deque[Future[list[Frame]]] = deque()

    def finish(self, work: Callable[..., list[Frame]], *args: object) -> None:
        """Queue the last step of a frame. It returns frames for `collect`."""
        self._pending.append(self._finish.submit(work, *args))

    def collect(self, keep: int) -> list[Frame]:
        """Wait until the last step has at most `keep` frames to do. Returns the frames that it finished, in order."""
        done: list[Frame] = []
        while len(self._pending) > keep:
            done += self._pending.popleft().result()
        return done

    def close(self) -> None:
        for step in (self.prepare, self.infer, self._finish):
            step.shutdown(cancel_futures=True)


class Matte:
    """Frames in, matted frames out, each composited with its own alpha.

    others: further renditions of the same matte, output as `Frame.others`; for live video `set_others` changes them.
    subject: as `Rendition.subject`, of the first.
    start_s: where in the video the frames' times begin: the times of prompts are from the video's start.
    unsure: when subjects of a file were not found, from the video's start.
    info: properties of the output, known after `open`. `close` closes `backdrop` and those of `others`.

    Frames of a file may be held back, to keep all steps busy and to fill the engine's batch. Frames of live video are
    held back only by the delayed smoothing modes, `live+1` and `offline`. Raises EngineError and BackgroundError for
    files; for live video both only change what is shown.
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
        start_s: float = 0.0,
        subject: tuple[str, ...] = (),
    ) -> None:
        past = past or Past()
        self._options, self._engine, self._live, self._start_s = options, engine, live, start_s
        self.unsure: list[Unsure] = []
        self._lost, self._fault = Lost(FADE_S), ""
        self._log = OncePerSecond(logging.getLogger(__name__))
        self._batch = 1 if live or engine.recurrent else engine.batch
        self._tuning = self._tuned()
        self._steps = _Steps()
        self._waiting: list[tuple[Frame, Future[Prepared]]] = []
        self._begun = False
        self._state = past.state  # used only in the thread `infer`
        self._smoothing: smooth.SmoothState | None = None  # used only in the thread `finish`, as `_renditions`
        self._renditions = Renditions(Rendition(options, backdrop, subject), others, past.edges, live)

    @property
    def covered(self) -> int:
        """Live frames that got no matte, so that only their background was shown. Slates are not among them."""
        return self._renditions.covered

    @property
    def notice(self) -> str:
        """A message for the user of live video: why it has no matte, if that is up to the user, or that a subject is
        lost; else "". From any thread."""
        return self._fault or unsure.lost_sentence(self._lost.names, self._options.subjects)

    @property
    def slates(self) -> int:
        """Slates of a live source, for which the background and the text of the options were shown."""
        return self._renditions.slates

    @property
    def passed(self) -> int:
        """Frames that were passed through unchanged (background none), without running the engine."""
        return self._renditions.passed

    def open(self, info: VideoInfo) -> VideoInfo:
        """Set the properties of the input. Returns those of the output."""
        self._seen, self.info = info, self._renditions.shape(info)
        return self.info

    def __call__(self, frame: Frame) -> list[Frame]:
        if frame.slate:
            self._start_waiting()
            self._steps.infer.submit(self._forget)
            self._steps.finish(self._slate, frame)
        elif self._renditions.untouched:
            self._steps.finish(self._pass_on, frame)
        elif frame.damaged and self._begun:
            self._start_waiting()
            self._steps.finish(self._repeat, frame)
        else:
            self._begun = True
            self._waiting.append((frame, self._steps.prepare.submit(self._prepared, frame)))
            if len(self._waiting) >= self._batch:
                self._start_waiting()
        return self._steps.collect(self._in_progress())

    def swap(
        self,
        options: Options,
        engine: Engine | None = None,
        backdrop: Backdrop | None = None,
        info: VideoInfo | None = None,
    ) -> VideoInfo:
        """Use other options, another engine, backdrop or size from the next frame on. For live video only.

        None keeps the current value. Returns the properties of the output. Must be called between two frames, by the
        thread that calls `Matte` with frames: only then is no frame in progress. Closes a replaced backdrop, but not a
        replaced engine.
        """
        self._options = options
        if self._renditions.untouched or info is not None or (engine is not None and engine is not self._engine):
            self._state = self._smoothing = None  # they are outdated, or of another size or engine
        self._engine = engine or self._engine
        tuning = self._tuned()
        if tuning != self._tuning:
            self._tuning, self._smoothing = tuning, None
        self._renditions.swap(options, backdrop)
        return self.open(info or self._seen)

    def set_others(self, others: Sequence[Rendition]) -> VideoInfo:
        """Draw these renditions besides the first from the next frame on. For live video only; to be called as `swap`.

        Returns the properties of the output.
        """
        if self._renditions.untouched:
            self._state = self._smoothing = None  # outdated: no frame was matted meanwhile
        self._renditions.set_others(others)
        return self.open(self._seen)

    def flush(self) -> list[Frame]:
        self._start_waiting()
        self._steps.finish(self._finish_held)
        return self._steps.collect(0)

    def close(self) -> None:
        self._steps.close()
        self._renditions.close()

    def _in_progress(self) -> int:
        """How many frames may be in progress: enough to keep all steps busy, also while a burst is finished."""
        if self._live:
            return 0
        return _IN_PROGRESS * self._batch + (self._tuning.burst if self._tuning else 0)

    def _start_waiting(self) -> None:
        """Run the engine on all waiting frames in one call, and queue the last step of each."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        results = self._steps.infer.submit(self._infer, [prepared for _, prepared in waiting])
        for index, (frame, _) in enumerate(waiting):
            self._steps.finish(self._finish, frame, results, index)

    def _tuned(self) -> Tuning | None:
        options = self._options
        tuning = choose(options.temporal, options.temporal_strength, self._engine.name, self._live)
        return unfitted(tuning) if tuning and options.edges.refine is Refine.OFF else tuning

    # In the thread `prepare`.

    def _prepared(self, frame: Frame) -> Prepared:
        subjects = self._options.subjects
        if subjects and not self._engine.chooser:  # the engine alone would also keep what the user removes
            raise NotLoaded("the model that finds the subjects is being loaded")
        prepared = self._engine.prepare(frame)
        if subjects:
            prepared = self._engine.prompted(prepared, self._in_video(frame), subjects)
        if self._live and self._tuning is not None:
            return self._engine.steadied(prepared, frame, self._tuning)
        return prepared

    def _in_video(self, frame: Frame) -> Frame:
        """The frame with its time from the start of the video."""
        ticks = round(self._start_s / frame.time_base)
        return replace(frame, pts=frame.pts + ticks) if ticks else frame

    # In the thread `infer`.

    def _infer(self, prepared: Sequence[Future[Prepared]]) -> list[Result | None]:
        """One result for each frame; for live video None if the engine failed."""
        try:
            inputs = [future.result() for future in prepared]
            results = self._engine.infer(inputs, [self._state] * len(inputs))
        except Exception as exc:  # after any error a live frame must be covered, and a file must fail
            if not self._live:
                if isinstance(exc, MatteboxError):
                    raise
                raise EngineError(f"{self._engine.name} failed: {exc}") from exc
            if not isinstance(exc, NotLoaded):
                self._log.warning("%s failed, showing the background: %s", self._engine.name, exc)
            self._state = None
            self._fault = str(exc) if isinstance(exc, UsageError | InputError) else ""
            return [None] * len(prepared)
        self._state, self._fault = results[-1].state, ""
        return list(results)

    def _forget(self) -> None:
        self._state = None

    # In the thread `finish`.

    def _finish(self, frame: Frame, results: Future[list[Result | None]], index: int) -> list[Frame]:
        """Pass a frame and its result to the smoothing. Returns the frames that the smoothing has finished, drawn.

        The smoothing may hold frames back, so these may be none, or several earlier ones.
        """
        result = results.result()[index]
        if result is None:
            return self._cover(frame)
        if self._live:
            self._lost.see(result.unsure, frame.time_s)
        elif result.unsure:
            unsure.add(self.unsure, result.unsure, self._in_video(frame).time_s)
        shares = self._renditions.shares(result.regions)
        matted = MattedFrame(frame, result.alpha, result.foreground, shares)
        if self._tuning is None or result.steady:
            return [self._draw(matted)]
        self._smoothing, smoothed = smooth.step(self._smoothing, matted, self._tuning)
        return [self._draw(each) for each in smoothed]

    def _finish_held(self) -> list[Frame]:
        """Finish the frames that the smoothing has held back, without waiting for later frames. Returns them, drawn."""
        if self._smoothing is None or self._tuning is None:
            return []
        self._smoothing, smoothed = smooth.flush(self._smoothing, self._tuning)
        return [self._draw(each) for each in smoothed]

    def _draw(self, matted: MattedFrame) -> Frame:
        """Draw a frame, its matte refined by the engine; a live frame is covered if that fails."""
        try:
            refined = self._engine.refined(matted)
        except Exception as exc:  # as in `_infer`
            if not self._live:
                if isinstance(exc, MatteboxError):
                    raise
                raise EngineError(f"{self._engine.name}: refining the matte failed: {exc}") from exc
            self._log.warning("%s: refining failed, showing the background: %s", self._engine.name, exc)
            return self._renditions.cover(matted.frame)
        return self._renditions.draw(refined)

    def _cover(self, frame: Frame) -> list[Frame]:
        """Cover a frame without a matte. Returns it after the frames that were held back; smoothing starts again."""
        self._lost.see(())
        done, self._smoothing = self._finish_held(), None
        return [*done, self._renditions.cover(frame)]

    def _slate(self, frame: Frame) -> list[Frame]:
        """As `_cover`, for a slate."""
        self._lost.see(())
        done, self._smoothing = self._finish_held(), None
        return [*done, self._renditions.slate(frame)]

    def _repeat(self, frame: Frame) -> list[Frame]:
        return [*self._finish_held(), self._renditions.repeat(frame)]

    def _pass_on(self, frame: Frame) -> list[Frame]:
        self._lost.see(())
        return [self._renditions.pass_on(frame)]
