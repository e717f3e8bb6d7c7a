"""Measures once which runtime an engine's network is fastest in on this machine, and whether its mattes are as good.

The runtimes take turns, so that what else the machine does slows all of them. The first is the network's own, in
float32; its alpha is what the others are compared with, and so is its error against the truth.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from stream.errors import MatteboxError
from stream.finding import Finding
from stream.install import install_command
from stream.picture.frames import Alpha, Frame, VideoInfo
from stream.records.engines import ENGINES
from stream.records.options import Options
from stream.registry import find
from stream.settings import Settings
from workers.engines.base import Engine, EngineState
from workers.measure import evaluate
from workers.measure.guard_clip import GuardClip, resized
from workers.runtimes import Choice, Precision, fallback, installed, processor
from workers.runtimes.choice import Case, Measured, candidates, choose, fastest, nearest, read, write
from workers.runtimes.onnxruntime import has_cuda
from workers.weights.known import Say, silent

_WORTHWHILE = 1800  # frames of a file
_ROUNDS, _TURN = 7, 3  # turns of each runtime, and frames of a turn, of which the first is not timed

Make = Callable[[Settings], Engine]


@dataclass
class _Candidate:
    """A runtime that takes part. alphas: of the clip. state: after it. ms, cpu_ms: of each timed frame."""

    choice: Choice
    engine: Engine
    alphas: list[Alpha] = field(default_factory=list)
    state: EngineState = None
    ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


def cases(name: str, settings: Settings) -> list[Case]:
    """What can be measured of an engine; nothing if its runtime cannot be chosen. Raises WeightsError, UsageError."""
    if has_cuda():
        return []
    if name == "rvm":
        from workers.engines import rvm

        return rvm.cases()
    if name == "onnx":
        from workers.engines.onnx_file import OnnxFile

        case = OnnxFile(Options(), own_runtime(settings)).case
        return [case] if case is not None else []
    return []


def measure(case: Case, settings: Settings, say: Say = silent) -> list[Measured]:
    """Measure an engine's network in every runtime that it could have here, and store the result.

    Raises what the engine raises with its own runtime, and DiskError or OSError if the result cannot be stored.
    """
    make: Callable[..., Engine] = find(ENGINES[engine_name(case)].place)
    choices = candidates(case.own, settings, installed("openvino"), processor.flags())
    found = compare(choices, lambda chosen: make(Options(), chosen, silent), GuardClip(*case.size), settings, say)
    write(case, found, settings)
    return found


def measure_for(name: str, info: VideoInfo, settings: Settings, say: Say) -> None:
    """Measure before a file is matted, if there is a choice, it was not measured yet, and the file is so long that a
    faster runtime saves more time than measuring takes. A failure changes nothing."""
    if name != "rvm" or settings.runtime or not installed("openvino") or (info.frames or 0) < _WORTHWHILE:
        return
    size = nearest(info.width, info.height)
    case = next((case for case in cases(name, settings) if case.size == size), None)
    if case is None or read(case, settings) is not None:
        return
    say(f"{name}: measuring once which runtime is fastest on this machine")
    try:
        say(f"{name}: {fastest(measure(case, settings, say))}")
    except (MatteboxError, OSError) as exc:
        say(f"{name}: measuring failed: {exc}")


def findings(settings: Settings, again: bool = False) -> Iterator[Finding]:
    """What `mattebox doctor` shows: the runtime of each network. again: measure first."""
    if not installed("openvino"):
        detail = "not installed; on many processors it runs the engine rvm faster"
        yield Finding("openvino", None, detail, install_command("mattebox[openvino]"))
        return
    for name in ("rvm", "onnx") if again and settings.onnx else ("rvm",):
        try:
            for case in cases(name, settings):
                yield _finding(case, measure(case, settings) if again else read(case, settings), settings)
        except (MatteboxError, OSError) as exc:
            yield Finding(f"runtime {name}", None, str(exc))


def _finding(case: Case, measured: Sequence[Measured] | None, settings: Settings) -> Finding:
    name = f"runtime {case.network} {case.size[0]}x{case.size[1]}"
    if settings.runtime:
        return Finding(name, True, f"{choose(case, settings, has_openvino=True)}: forced by MATTEBOX_RUNTIME")
    if measured is None:
        return Finding(name, None, f"{case.own}; others were not measured here", "mattebox doctor --measure")
    return Finding(name, True, f"{fastest(measured)}; measured: {'; '.join(map(described, measured))}")


def described(measured: Measured) -> str:
    """One line about a candidate."""
    if measured.error:
        return f"{measured.choice} failed ({measured.error})"
    verdict = "" if measured.accurate else ", not accurate enough"
    return f"{measured.choice} {measured.ms:.1f} ms per frame ({measured.cpu_ms:.1f} CPU){verdict}"


def engine_name(case: Case) -> str:
    return case.network.partition("@")[0]


def own_runtime(settings: Settings) -> Settings:
    return settings.model_copy(update={"runtime": "onnxruntime"})


def forced(choice: Choice, own: Choice, settings: Settings) -> Settings:
    """Settings under which an engine has this runtime."""
    if choice == own:
        return own_runtime(settings)
    return settings.model_copy(update={"runtime": choice.runtime, "half": choice.precision is Precision.BFLOAT16})


def compare(choices: Sequence[Choice], make: Make, clip: GuardClip, settings: Settings, say: Say) -> list[Measured]:
    """Measure the choices, of which the first is the network's own runtime. make: creates the engine."""
    own, *others = choices
    taking_part = [_matted(_Candidate(own, make(forced(own, own, settings))), clip.frames)]
    failed: list[Measured] = []
    for choice in others:
        replaced = fallback.replaced()
        try:
            candidate = _matted(_Candidate(choice, make(forced(choice, own, settings))), clip.frames)
            error = "it failed, and was replaced" if fallback.replaced() > replaced else ""
        except MatteboxError as exc:
            error = str(exc)
        if error:
            failed.append(Measured(choice, error=error))
            say(f"{choice}: {error}")
        else:
            taking_part.append(candidate)
    for _ in range(_ROUNDS):
        for candidate in taking_part:
            _take_turn(candidate, clip.frames)
    exact = taking_part[0].alphas
    return [_measured(candidate, exact, clip.truth) for candidate in taking_part] + failed


def _matted(candidate: _Candidate, frames: Sequence[Frame]) -> _Candidate:
    for frame in frames:
        candidate.alphas.append(_run(candidate, frame))
    return candidate


def _take_turn(candidate: _Candidate, frames: Sequence[Frame]) -> None:
    """The first frame brings the network's weights back into the caches, and is not timed."""
    for index, frame in enumerate(frames[:_TURN]):
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        _run(candidate, frame)
        if index:
            candidate.ms.append(1e3 * (time.perf_counter() - wall_s))
            candidate.cpu_ms.append(1e3 * (time.process_time() - cpu_s))


def _run(candidate: _Candidate, frame: Frame) -> Alpha:
    engine = candidate.engine
    (result,) = engine.infer([engine.prepare(frame)], [candidate.state])
    candidate.state = result.state
    return result.alpha


def _measured(candidate: _Candidate, exact: Sequence[Alpha], truth: Sequence[Alpha]) -> Measured:
    ms, cpu_ms = (round(float(np.median(times)), 2) for times in (candidate.ms, candidate.cpu_ms))
    mean = float(np.mean([np.abs(a - b).mean() for a, b in zip(candidate.alphas, exact, strict=True)]))
    truth = [resized(true, exact[0].shape) for true in truth]
    (mad, dtssd), (own_mad, own_dtssd) = scores(candidate.alphas, truth), scores(exact, truth)
    return Measured(candidate.choice, ms, cpu_ms, mean, _relative(mad, own_mad), _relative(dtssd, own_dtssd))


def scores(alphas: Sequence[Alpha], truth: Sequence[Alpha]) -> tuple[float, float]:
    """MAD and dtSSD, as `mattebox eval` computes them."""
    errors = list(_errors(alphas, truth))
    changes = [evaluate.dtssd(later, earlier) for earlier, later in pairwise(errors)]
    return float(np.mean([evaluate.mad(error) for error in errors])), float(np.mean(changes))


def _errors(alphas: Sequence[Alpha], truth: Sequence[Alpha]) -> Iterator[evaluate.Ints]:
    for alpha, true in zip(alphas, truth, strict=True):
        yield (np.rint(alpha * 255) - np.rint(true * 255)).astype(np.int16)


def _relative(value: float, own: float) -> float:
    return 1.0 if value == own else value / max(own, 1e-9)
