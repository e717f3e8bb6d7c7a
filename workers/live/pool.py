"""The engines and choosers of a process: each loaded once, warmed up before its first frame, and shared by all videos.

A video with subjects gets an engine with a chooser, which both are also used alone or together with others. Which
subjects it has makes no difference: other prompts never load anything.
"""

import asyncio
import logging
import time
from fractions import Fraction
from typing import Any, NamedTuple, Protocol

import numpy as np

from stream.errors import MatteboxError, without_paths
from stream.picture.frames import Frame
from stream.records.options import FacePart, Options
from stream.serve.heartbeat import Health
from stream.settings import Settings
from workers import choosers, engines
from workers.engines.base import Engine
from workers.engines.with_subjects import WithSubjects
from workers.live.device_thread import DeviceThread
from workers.live.shared_chooser import SharedChooser
from workers.scene.composite import flat

_log = logging.getLogger(__name__)
_WARM_UP_PX = (640, 360)
_GREY = (126, 128, 128)
_LOADING_S = 1800.0  # limit for loading an engine: its weights may be downloaded first, then kernels are compiled


class Matted(Protocol):
    """What an engine is loaded for: a live video or a feed. options: those requested last. notice: for its owner."""

    notice: str

    @property
    def options(self) -> Options: ...

    def set_engine(self, engine: Engine) -> None: ...


class Key(NamedTuple):
    """engine, chooser: names; chooser "": none. options: those that an engine reads. keep: parts of faces."""

    engine: str
    chooser: str
    options: object
    keep: tuple[FacePart, ...] = ()


class Engines:
    """Runs on the event loop. An engine stays loaded, for the next video."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loading: dict[Key, asyncio.Task[DeviceThread]] = {}
        self._began_s: dict[Key, float] = {}  # when the last load began
        self._choosers: dict[str, asyncio.Task[SharedChooser]] = {}

    def ready(self, options: Options) -> DeviceThread | None:
        """The engine for these options, if it is loaded. Raises UsageError."""
        task = self._loading.get(self.key(options))
        return task.result() if task is not None and _is_loaded(task) else None

    async def get(self, options: Options) -> DeviceThread:
        """The engine for these options. Concurrent callers share one load.

        Raises UsageError, WeightsError and EngineError; the next call tries again.
        """
        key = self.key(options)
        task = self._loading.get(key)
        if task is None or (task.done() and task.exception() is not None):
            task = self._loading[key] = asyncio.create_task(self._load(key, options))
            self._began_s[key] = time.monotonic()
        return await asyncio.shield(task)

    async def provide(self, video: Matted, options: Options, name: str) -> None:
        """Set a video's engine once it is loaded; until then it keeps the old one, or shows its background. name: of
        the video, for the log."""
        try:
            engine = await self.get(options)
        except Exception as exc:  # noqa: BLE001 - of a library too, such as one whose device has no memory left
            known = isinstance(exc, MatteboxError)
            _log.warning("%s: %s", name, exc, exc_info=not known)
            detail = without_paths(str(exc)) if known else "it failed while it was loaded"
            video.notice = f"{options.engine} is unavailable here: {detail}"
            without_parts = self.ready(options.model_copy(update={"keep": ()})) if options.keep else None
            if without_parts is not None:
                video.notice = f"the parts to keep cannot be found: {detail}"
            elif options.subjects:
                video.notice = f"the subjects cannot be found: {detail}"
                return  # an engine alone would also show what the user does not want to be seen
            engine = without_parts or await self.get(Options())
        if self.key(video.options) == self.key(options):  # else another was requested meanwhile
            video.set_engine(engine)

    async def _load(self, key: Key, options: Options) -> DeviceThread:
        if key.keep:
            engine = await self.get(options.model_copy(update={"keep": ()}))
            return await asyncio.to_thread(self._load_keeping, engine, options)
        if not key.chooser:
            return await asyncio.to_thread(self._load_engine, key.engine, options)
        chooser = await self._chooser(key.chooser)
        engine = await self.get(options.model_copy(update={"subjects": ()}))
        return DeviceThread(WithSubjects(engine, chooser))

    async def _chooser(self, name: str) -> SharedChooser:
        task = self._choosers.get(name)
        if task is None or (task.done() and task.exception() is not None):
            task = self._choosers[name] = asyncio.create_task(asyncio.to_thread(self._load_chooser, name))
        return await asyncio.shield(task)

    def _load_chooser(self, name: str) -> SharedChooser:
        return SharedChooser(choosers.load(name, Options(), self._settings))  # prompts do not affect the chooser

    def _load_keeping(self, engine: DeviceThread, options: Options) -> DeviceThread:
        keeping = engines.keep_face_parts(engine, options, self._settings)
        warm_up(keeping)
        return DeviceThread(keeping)

    def _load_engine(self, name: str, options: Options) -> DeviceThread:
        engine = engines.load(name, engines.read_options(options), self._settings)
        warm_up(engine)
        return DeviceThread(engine)

    def health(self, serving: bool) -> Health:
        """STUCK: a device thread is, or an engine takes too long to load. STARTING: an engine is being loaded.

        serving: videos are running; then a load that hangs is no reason to end them.
        """
        healths = [device.health() for device in self._loaded()]
        loads_s = [time.monotonic() - self._began_s[key] for key, task in self._loading.items() if not task.done()]
        if any(load_s < _LOADING_S for load_s in loads_s):
            healths.append(Health.STARTING)
        elif loads_s and not serving:
            healths.append(Health.STUCK)
        return next((health for health in (Health.STUCK, Health.STARTING) if health in healths), Health.OK)

    def _loaded(self) -> list[DeviceThread]:
        return [task.result() for task in self._loading.values() if _is_loaded(task)]

    def meters(self) -> dict[str, float]:
        """Fields of `Worker`, of the busiest device; empty before the first engine is loaded."""
        alone = [key for key, task in self._loading.items() if _is_loaded(task) and not key.chooser and not key.keep]
        meters = [self._loading[key].result().meter() for key in alone]  # others use one of these
        choosers_s = sum(task.result().busy_s for task in self._choosers.values() if _is_loaded(task))
        busiest = max(meters, key=lambda meter: meter.frames, default=None)
        if busiest is None:
            return {}
        return {
            "batch": round(busiest.batch, 2),
            "wait_ms": round(busiest.wait_ms, 2),
            "late_ms": round(busiest.late_ms, 2),
            "busy_s": round(sum(meter.busy_s for meter in meters) + choosers_s, 3),
        }

    def key(self, options: Options) -> Key:
        """Videos with equal keys share an engine and a chooser. Raises UsageError."""
        name, _ = engines.choose(options, live=True, settings=self._settings)
        chooser, _ = choosers.choose(options, live=True, settings=self._settings)
        return Key(name, chooser, engines.read_options(options), options.keep)

    async def close(self) -> None:
        """End the threads of all engines."""
        loaded = await asyncio.gather(*self._loading.values(), return_exceptions=True)
        self._loading.clear()
        await asyncio.gather(
            *(asyncio.to_thread(device.close) for device in loaded if not isinstance(device, BaseException))
        )


def _is_loaded(task: "asyncio.Task[Any]") -> bool:
    return task.done() and task.exception() is None


def warm_up(engine: Engine) -> None:
    """Process one blank frame, so that no video waits for one-time initialization."""
    blank = Frame(flat(*_GREY, *_WARM_UP_PX), 0, Fraction(1, 30))
    (result,) = engine.infer([engine.prepare(blank)], [None])
    assert np.isfinite(result.alpha).all()
