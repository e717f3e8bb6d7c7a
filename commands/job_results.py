"""Results of jobs, saved on this machine: a file, or the pictures of a zip file in a folder."""

import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.overwriting import check_file, check_outputs
from stream.errors import RemoteError, UsageError, disk_error
from stream.records.formats import FORMATS, PICTURE, TIMES
from stream.sinks.images import folder_and_pattern
from stream.sinks.parts.partial import Partial
from stream.sinks.parts.sequence import PartialSequence

if TYPE_CHECKING:
    from commands.client import Remote, Update


def check_final(format: str, final: Path, overwrite: bool) -> None:
    """Check that a result of this format can be saved as `final`. Raises UsageError, DiskError, typer.Abort."""
    if _is_unpacked(format, final):
        check_outputs([final], overwrite)
        _sequence(final)
    else:
        check_file(final, overwrite)
        Partial(final)


def save_result(remote: "Remote", job: dict[str, Any], name: str, final: Path, update: "Update") -> None:
    """Download the result `name` of a job. It appears under `final` when it is complete.

    Pictures are unpacked, unless `final` ends in .zip. Raises RemoteError, DiskError, UsageError.
    """
    if name not in job["results"]:
        raise RemoteError(f"the job is {job['state']} and has no result {name!r}")
    url = job["results"][name]["url"]
    format = next(output["format"] for output in job["outputs"] if output["name"] == name)
    if not _is_unpacked(format, final):
        remote.download(url, final, update)
        return
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures.zip"
        remote.download(url, pictures, update)
        _unpack(pictures, final)


def _is_unpacked(format: str, final: Path) -> bool:
    """Whether the result is saved as pictures in a folder."""
    known = FORMATS.get(format)
    return known is not None and known.pictures and final.suffix.lower() != known.result_suffix


def _unpack(archive: Path, final: Path) -> None:
    sequence, pattern = _sequence(final)
    try:
        sequence.path.mkdir()
        with zipfile.ZipFile(archive) as pictures:
            for number in range(1, len(pictures.namelist())):  # all but the times
                (sequence.path / (pattern % number)).write_bytes(pictures.read(PICTURE % number))
            (sequence.path / TIMES).write_bytes(pictures.read(TIMES))
        sequence.publish()
    except OSError as exc:
        raise disk_error(exc, final) from exc
    except (zipfile.BadZipFile, KeyError):
        raise RemoteError("the server's zip file of pictures is damaged") from None
    finally:
        sequence.discard()


def _sequence(final: Path) -> tuple[PartialSequence, str]:
    """A sequence to be written, and the pattern of its names. Raises UsageError, DiskError."""
    folder, pattern = folder_and_pattern(final)
    if not pattern.lower().endswith(FORMATS["png"].suffix):
        raise UsageError(f"{final}: a server's pictures are PNG; name a folder, or a pattern such as {PICTURE}")
    return PartialSequence(folder, pattern), pattern
