"""Files of repositories on the model hub, downloaded by huggingface-hub into our own cache. No code is ever downloaded.

The cache names a large file by its sha256, which is compared with the content.
"""

from hashlib import file_digest
from pathlib import Path

from stream.errors import WeightsError
from stream.settings import Settings

MODULES = ("huggingface_hub",)
_SHA256_DIGITS = 64


def download(repo: str, file: str, name: str, settings: Settings, revision: str | None = None) -> Path:
    """The cached file, downloaded if necessary. name: of the weights, as `models pull` takes it. revision: a commit;
    None: the newest. Raises WeightsError."""
    from huggingface_hub import hf_hub_download

    offline, folder = settings.offline, settings.cache_dir / "hub"
    try:
        return Path(hf_hub_download(repo, file, cache_dir=folder, local_files_only=offline, revision=revision))
    except Exception as exc:  # its errors (no network, unknown repo, nothing cached) have no common base class
        reason = "MATTEBOX_OFFLINE is set" if offline else str(exc).splitlines()[0]
        variant = name.partition(":")[2]
        raise WeightsError(
            f"the weights {variant} are missing ({reason}); download them with: mattebox models pull {name}"
        ) from exc


def download_if_published(repo: str, file: str, name: str, settings: Settings, revision: str) -> None:
    """As `download`, for a file that not every repository has. Does nothing if the network may not be used."""
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    if settings.offline:
        return
    try:
        download(repo, file, name, settings, revision)
    except WeightsError as exc:
        missing = isinstance(exc.__cause__, EntryNotFoundError)
        if not missing or isinstance(exc.__cause__, LocalEntryNotFoundError):  # the latter: no connection
            raise


def cached(repo: str, file: str, settings: Settings) -> Path | None:
    """The file if it is on this disk, else None. Never uses the network."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, file, cache_dir=settings.cache_dir / "hub")
    return Path(found) if isinstance(found, str) else None


def verified(file: Path, name: str) -> Path:
    """`file`, if its content matches the sha256 in its name, or its name has none. Raises WeightsError."""
    if has_sha256(file):
        with file.open("rb") as content:
            if file_digest(content, "sha256").hexdigest() != file.resolve().name:
                raise WeightsError(f"{file} is damaged; delete it and run: mattebox models pull {name}")
    return file


def has_sha256(file: Path) -> bool:
    """Whether the cache names the file by its sha256; a snapshot links to it."""
    return len(file.resolve().name) == _SHA256_DIGITS
