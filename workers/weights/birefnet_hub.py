"""BiRefNet's published checkpoints: their short names, their repositories on the model hub, and the cached files.

huggingface-hub downloads only the tensor file, into our own cache; no code is ever downloaded. The hub names a file by
its sha256, which is compared with the downloaded content.
"""

import re
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

from stream.errors import UsageError, WeightsError
from stream.settings import Settings
from workers.weights.input_size import split_size
from workers.weights.known import Say

MODULES = ("huggingface_hub",)  # needed to find and download them
FILE_FORMAT = ".safetensors"
_FILE = "model.safetensors"
_SHA256_DIGITS = 64


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
    return _verified(_downloaded(checkpoint.repo, spec, settings), spec)


pull = find


def verify(spec: str, settings: Settings) -> Path:
    """The cached file of a published checkpoint, compared with the hub's sha256. Raises UsageError, WeightsError."""
    checkpoint, file = parse(spec)
    file = file or _verified(_downloaded(checkpoint.repo, spec, settings.model_copy(update={"offline": True})), spec)
    if len(file.resolve().name) != _SHA256_DIGITS:
        raise WeightsError(f"{file} cannot be verified: its sha256 is not known")
    return file


def find_local(spec: str, settings: Settings) -> Path | None:
    """The file of a checkpoint if it is on this disk, else None. Never uses the network. Raises UsageError."""
    from huggingface_hub import try_to_load_from_cache

    checkpoint, file = parse(spec)
    if file is not None:
        return file if file.is_file() else None
    cached = try_to_load_from_cache(checkpoint.repo, _FILE, cache_dir=settings.cache_dir / "hub")
    return Path(cached) if isinstance(cached, str) else None


def _downloaded(repo: str, spec: str, settings: Settings) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(
            hf_hub_download(repo, _FILE, cache_dir=settings.cache_dir / "hub", local_files_only=settings.offline)
        )
    except Exception as exc:  # its errors (no network, unknown repo, nothing cached) have no common base class
        reason = "MATTEBOX_OFFLINE is set" if settings.offline else str(exc).splitlines()[0]
        raise WeightsError(
            f"the weights {spec} are missing ({reason}); download them with: mattebox models pull birefnet:{spec}"
        ) from exc


def _verified(file: Path, spec: str) -> Path:
    """`file`, if its content matches. The hub's cache names files by their sha256; a snapshot links to them."""
    name = file.resolve().name
    if len(name) == _SHA256_DIGITS:
        with file.open("rb") as content:
            if file_digest(content, "sha256").hexdigest() != name:
                raise WeightsError(f"{file} is damaged; delete it and run: mattebox models pull birefnet:{spec}")
    return file
