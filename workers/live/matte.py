"""The matte of a live video: a `Matte` whose options, engine and picture size change while it runs.

The room is never shown by accident: until the engine is loaded, and while it fails, only the background is shown; grey
replaces a background that cannot be read. Colour above alpha is drawn from the same matte for viewers who want it,
whatever the background; without a matte its alpha is 0. Knows nothing about connections.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from stream.errors import BackgroundError, NotLoaded
from stream.meters import Stopwatch
from stream.picture.frames import Frame, Plane, VideoInfo
from stream.records.options import Background, Options, View
from stream.settings import Settings
from workers.engines.base import Engine, EngineState, Result
from workers.matte import Matte
from workers.rendition import Rendition
from workers.scene.backgrounds import Backdrop, Drawn, open_background
from workers.scene.blur import GREY
from workers.scene.composite import checkerboard, flat
from workers.scene.crossfade import Crossfade

_log = logging.getLogger(__name__)
_STACKED = Options(view=View.STACKED, background=Background(kind="transparent"))


class Loading(Engine):
    """Placeholder for an engine that is not loaded yet: every frame fails, and is therefore covered."""

    device = ""

    def __init__(self, name: str) -> None:
        self.name = name

    def prepare(self, frame: Frame) -> None:
        return None

    def infer(self, prepared: Sequence[None], states: Sequence[EngineState]) -> list[Result]:
        raise NotLoaded(f"{self.name} is being loaded")


@dataclass(frozen=True)
class _Change:
    """None: unchanged. size: for which the backdrop was opened, in pixels."""

    options: Options | None = None
    engine: Engine | None = None
    backdrop: Backdrop | None = None
    size: tuple[int, int] = (0, 0)


class LiveMatte:
    """A Transform for `pump`. matted: number of frames with a matte; covered: of frames without one, for which only the
    background was shown, except slates. working: processing time of a frame. wants_stack: asked before each frame;
    while it returns True, frames have a rendition of colour above alpha in `others`.

    `change`, `set_engine` and `latest` may be called from any thread, everything else only from the pump's.
    """

    def __init__(
        self,
        options: Options,
        engine: Engine | None,
        settings: Settings,
        wants_stack: Callable[[], bool] = lambda: False,
    ) -> None:
        self.options = options
        self.engine = engine or Loading(options.engine)
        self._settings = settings
        self._lock = threading.Lock()
        self._pending: list[_Change] = []
        self._size = (0, 0)
        self._matte: Matte | None = None
        self._wants_stack, self._stacking = wants_stack, False
        self._frames = 0
        self.matted = 0
        self.working = Stopwatch()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures, in pixels; (0, 0) before the first."""
        return self._size

    @property
    def covered(self) -> int:
        return self._matte.covered if self._matte is not None else 0

    @property
    def notice(self) -> str:
        """As `Matte.notice`."""
        return self._matte.notice if self._matte is not None else ""

    def open(self, info: VideoInfo) -> VideoInfo:
        self._size, self._info = (info.width, info.height), info
        self._backdrop = Crossfade(self._opened_or_grey())
        self._matte = Matte(self.options, self.engine, self._backdrop, live=True)
        return self._matte.open(info)

    def __call__(self, frame: Frame) -> list[Frame]:
        assert self._matte is not None
        if (frame.width, frame.height) != self._size:
            self._resize(frame.width, frame.height)
        self._apply_changes()
        self._draw_stack(self._wants_stack())
        self._frames += 1
        with self.working:
            done = self._matte(frame)
        without = self._matte.covered + self._matte.slates + self._matte.passed
        self.matted = self._frames - without  # read by other threads: must never decrease
        return done

    def flush(self) -> list[Frame]:
        return [] if self._matte is None else self._matte.flush()

    def close(self) -> None:
        with self._lock:
            left, self._pending = self._pending, []
        for change in left:
            if change.backdrop is not None:
                change.backdrop.close()
        if self._matte is not None:
            self._matte.close()

    def change(self, options: Options, engine: Engine | None = None) -> None:
        """Use these options from the next frame on. engine: None keeps the current one.

        A new background is opened here, in the caller's thread, not in the pump's. Raises BackgroundError; then
        nothing changes.
        """
        size, backdrop = self._size, None
        if size != (0, 0) and options.background != self.latest().background:
            backdrop = self._open_background(options, size)
        with self._lock:
            self._pending.append(_Change(options, engine, backdrop, size))

    def set_engine(self, engine: Engine) -> None:
        """Use another engine from the next frame on."""
        with self._lock:
            self._pending.append(_Change(engine=engine))

    def latest(self) -> Options:
        """The options that were requested last; they apply from the next frame on."""
        with self._lock:
            return next((c.options for c in reversed(self._pending) if c.options is not None), self.options)

    def _apply_changes(self) -> None:
        with self._lock:
            changes, self._pending = self._pending, []
        for change in changes:
            self._apply(change)

    def _apply(self, change: _Change) -> None:
        assert self._matte is not None
        options, before = change.options or self.options, self.options.background
        moved = options.background != before
        self.options, self.engine = options, change.engine or self.engine
        backdrop = change.backdrop
        if backdrop is not None and change.size != self._size:
            backdrop.close()
            backdrop = None
        if backdrop is None and moved:  # requested before the first frame, or opened for another size
            backdrop = self._opened_or_grey()
        if backdrop is not None:
            self._backdrop.turn_to(backdrop, softly="none" not in (before.kind, options.background.kind))
        self._matte.swap(self.options, self.engine)

    def _draw_stack(self, wanted: bool) -> None:
        """Nothing is drawn that nobody views. The background is drawn by the viewer."""
        assert self._matte is not None
        if wanted is not self._stacking:
            self._stacking = wanted
            self._matte.set_others([Rendition(_STACKED, _still(None))] if wanted else [])

    def _resize(self, width: int, height: int) -> None:
        assert self._matte is not None
        self._size, self._info = (width, height), replace(self._info, width=width, height=height)
        self._backdrop = Crossfade(self._opened_or_grey())
        self._matte.swap(self.options, self.engine, self._backdrop, self._info)

    def _opened_or_grey(self) -> Backdrop:
        try:
            return self._open_background(self.options, self._size)
        except BackgroundError as exc:
            _log.warning("%s; showing grey", exc)
            return _still(flat(*GREY, *self._size))

    def _open_background(self, options: Options, size: tuple[int, int]) -> Backdrop:
        """The published view carries no alpha: transparency is shown as a checkerboard."""
        if options.background.kind == "transparent":
            return _still(checkerboard(*size))
        return open_background(options.background, *size, self._settings)


def _still(picture: Plane | None) -> Backdrop:
    return Drawn(lambda _frame, _alpha: picture)
