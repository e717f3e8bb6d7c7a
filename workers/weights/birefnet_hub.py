"""BiRefNet's published checkpoints: their short names, their repositories on the model hub, and the cached files.

Only the tensor file is downloaded (`workers/weights/hub.py`).
"""

import re
from dataclasses import dataclass
from pathlib import Path

from stream.errors import UsageError, WeightsError
from stream.settings import Settings
from workers.weights import hub
from workers.weights.input_size import split_size
from workers.weights.known import Say

MODULES = hub.MODULES  # needed to find and download them
FILE_FORMAT = ".safetensors"
_FILE = "model.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """repo: on the hub, "" for a local file. width, height: the network's input size in pixels, multiples of 32.

    native: keep the picture's aspect ratio instead, at about as many pixels. licence: as its authors state it.
    """

    repo: str
    width: int = 1024
    height: int = 1024
    native: bool = False
    licence: str = "MIT"

    @property
    def origin(self) -> str:
        return self.repo


VARIANTS = {
    "general": Checkpoint("ZhengPeng7/BiRefNet"),
    "lite": Checkpoint("ZhengPeng7/BiRefNet_lite"),
    "lite-2K": Checkpoint("ZhengPeng7/BiRefNet_lite-2K", 2560, 1440),
    "HR": Checkpoint("ZhengPeng7/BiRefNet_HR", 2048, 2048),
    "512": Checkpoint("ZhengPeng7/BiRefNet_512x512", 512, 512),
    "portrait": Checkpoint("ZhengPeng7/BiRefNet-portrait"),
    "matting": Checkpoint("ZhengPeng7/BiRefNet-matting"),
    "HR-matting": Checkpoint("ZhengPeng7/BiRefNet_HR-matting", 2048, 2048),
    "lite-matting": Checkpoint("ZhengPeng7/BiRefNet_lite-matting"),
    "dynamic": Checkpoint("ZhengPeng7/BiRefNet_dynamic", native=True),
    "dynamic-matting": Checkpoint("ZhengPeng7/BiRefNet_dynamic-matting", native=True),
    "DIS5K": Checkpoint("ZhengPeng7/BiRefNet-DIS5K"),
    "HRSOD": Checkpoint("ZhengPeng7/BiRefNet-HRSOD"),
    "COD": Checkpoint("ZhengPeng7/BiRefNet-COD"),
}


def parse(spec: str) -> tuple[Checkpoint, Path | None]:
    """Parse `NAME[@WxH]` to a checkpoint and, if NAME is one, the local file. NAME: a short name, a repo id or a file.

    Raises UsageError.
    """
    name, size = split_size(spec)
    file = Path(name) if name.lower().endswith(FILE_FORMAT) else None
    checkpoint = VARIANTS.get(name)
    if checkpoint is None and file is None and not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name):
        known = ", ".join(VARIANTS)
        raise UsageError(f"weights: {name!r} is not one of {known}, a repo id (owner/name) or a .safetensors file")
    checkpoint = checkpoint or Checkpoint("" if file else name)
    if size is not None:
        checkpoint = Checkpoint(checkpoint.repo, *size)
    return checkpoint, file


def owns(name: str) -> bool:
    """Whether weights of this name, without a size, are certainly for the engine `birefnet`."""
    return name in VARIANTS or name.lower().endswith(FILE_FORMAT)


def find(spec: str, settings: Settings, say: Say) -> Path:
    """The file of a checkpoint, downloaded if necessary. Raises UsageError, WeightsError."""
    checkpoint, file = parse(spec)
    if file is not None:
        if not file.is_file():
            raise WeightsError(f"{file} {'is a folder' if file.is_dir() else 'does not exist'}")
        say(f"birefnet: {file} is your own file; its licence is not known here")
        return file
    say(f"birefnet: {checkpoint.repo} is licensed under {checkpoint.licence}, according to its authors")
    return _downloaded(checkpoint.repo, spec, settings)


pull = find


def verify(spec: str, settings: Settings) -> Path:
    """The cached file of a published checkpoint, compared with the hub's sha256. Raises UsageError, WeightsError."""
    checkpoint, file = parse(spec)
    file = file or _downloaded(checkpoint.repo, spec, settings.model_copy(update={"offline": True}))
    if not hub.has_sha256(file):
        raise WeightsError(f"{file} cannot be verified: its sha256 is not known")
    return file


def find_local(spec: str, settings: Settings) -> Path | None:
    """The file of a checkpoint if it is on this disk, else None. Never uses the network. Raises UsageError."""
    checkpoint, file = parse(spec)
    if file is not None:
        return file if file.is_file() else None
    return hub.cached(checkpoint.repo, _FILE, settings)


def _downloaded(repo: str, spec: str, settings: Settings) -> Path:
    name = f"birefnet:{spec}"
    return hub.verified(hub.download(repo, _FILE, name, settings), name)
