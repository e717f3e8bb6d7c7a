"""Every key that Mattebox keeps in storage: who writes it, who removes it, and when. One place, no storage.

key                                    what it is; written by; removed by
uploads/<id>/info                      the record of an upload; web, when all bytes have come; as `source`
uploads/<id>/source                    its video, if it is one; web; web, when its user or the sweeper removes it
jobs/<id>/source                       the video of a job that names an address; its planner; with the job
jobs/<id>/segments/<n>-<output><end>   a part of an output; the worker of segment n; the worker that ends the job
jobs/<id>/preview.jpg                  a small still of the newest frame; workers, every other second; with the job
jobs/<id>/<output><end>                a result; the worker that joins, or that of the only segment; with the job
gallery/<name>.jpg                     a painted background; web, when it is first wanted; nobody
gallery/<name>.small.jpg               its thumbnail; web; nobody
backgrounds/<owner>/<id>.image         a user's own background, or .video; web; web, when the user removes it
backgrounds/<owner>/<id>.jpg           its thumbnail; web; with it

<end> is the format's `result_suffix` (stream/records/formats.py). Everything below jobs/<id>/ goes with the job: web
removes it when its owner does, when it has expired (MATTEBOX_JOBS_KEEP_S), a minute after it was cancelled, and a day
after its record was lost. The sweeper removes uploads that nobody has touched for MATTEBOX_UPLOAD_KEEP_S.

Keys are words of [a-z0-9._-] joined by "/", made by the server, never by a user.
"""

from hashlib import sha256
from pathlib import PurePosixPath

from stream.records.jobs import Output
from stream.records.keys import segment_name

UPLOADS = "uploads/"
JOBS = "jobs/"
GALLERY = "gallery/"
BACKGROUNDS = "backgrounds/"
PREFIXES = (UPLOADS, JOBS, GALLERY, BACKGROUNDS)
"""One of these begins every key."""

PREVIEW = "preview.jpg"
"""The name of a job's still, wherever it lies."""

_STILL = ".jpg"


def id_of(key: str) -> str:
    """The id of the upload or the job that a key belongs to."""
    return key.split("/")[1]


def upload(id: str) -> str:
    """The folder of an upload: all its keys begin so."""
    return f"{UPLOADS}{id}/"


def upload_info(id: str) -> str:
    return f"{upload(id)}info"


def upload_source(id: str) -> str:
    return f"{upload(id)}source"


def upload_of(source: str) -> str:
    """The id of the upload whose video has this key; "" where it is no upload's."""
    return id_of(source) if source.startswith(UPLOADS) else ""


def job(id: str) -> str:
    """The folder of a job: all its keys begin so."""
    return f"{JOBS}{id}/"


def job_source(id: str) -> str:
    return f"{job(id)}source"


def job_preview(id: str) -> str:
    return f"{job(id)}{PREVIEW}"


def job_segments(id: str) -> str:
    """The folder of a job's segments."""
    return f"{job(id)}segments/"


def job_segment(id: str, number: int, output: Output) -> str:
    """Part of an output, for a job in several segments. number: of the segment, from 0."""
    return f"{job_segments(id)}{segment_name(number)}-{output.name}{output.kind.result_suffix}"


def job_result(id: str, output: Output) -> str:
    return f"{job(id)}{output.name}{output.kind.result_suffix}"


def gallery(name: str) -> str:
    return f"{GALLERY}{name}{_STILL}"


def gallery_thumbnail(name: str) -> str:
    return f"{GALLERY}{name}.small{_STILL}"


def gallery_name(key: str) -> str:
    """The name of the painted background that has this key; "" where it is none."""
    return PurePosixPath(key).stem if key.startswith(GALLERY) else ""


def backgrounds(owner: str) -> str:
    """The folder of a user's own backgrounds; users' names may hold what no key may."""
    return f"{BACKGROUNDS}{sha256(owner.encode()).hexdigest()[:24]}/"


def background(owner: str, id: str, kind: str) -> str:
    """kind: "image" or "video"."""
    return f"{backgrounds(owner)}{id}.{kind}"


def background_thumbnail(owner: str, id: str) -> str:
    return f"{backgrounds(owner)}{id}{_STILL}"


def background_id(key: str) -> str:
    """The id of the background that has this key."""
    return PurePosixPath(key).stem


def background_kind(key: str) -> str:
    """The kind that a key of a user's own background ends in: "image" or "video"; "jpg" for a thumbnail."""
    return PurePosixPath(key).suffix[1:]
