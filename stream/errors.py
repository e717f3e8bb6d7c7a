"""The error tree. Every failure that a user can cause or mend is one of these; anything else is a bug.

MatteboxError                    exit code 1
├── UsageError                   wrong words on the command line or in a request (exit code 2)
│   └── UnsupportedOutput        the output's format cannot hold what was asked of it
├── InputError                   the video given cannot be used
│   ├── UnreadableMedia          not a video, damaged beyond use, or a kind that is refused
│   ├── NoVideoStream            sound, subtitles or cover art only
│   ├── TooLarge                 over a limit on pixels, frames, duration or bytes
│   └── FetchError               its address gives nothing, or must not be asked
├── BackgroundError              the new background cannot be read
├── WeightsError                 weights are missing, cannot be fetched, or are not the known ones
├── EngineError                  a model failed on a frame
│   └── NotLoaded                it is not there yet
├── EncodeError                  an encoder refuses the picture or the sound
├── SdpError                     an offer or its candidates cannot be used (nothing of it was kept)
│   └── UnsupportedCodec         it offers neither H.264 nor VP8 as browsers send them
├── DiskError                    no space, or no right to write
├── StoreError                   the records of live video and of file jobs
│   ├── StoreDown                Redis is out of reach, or takes no writes
│   ├── NoSession                no session of that id, or no longer
│   ├── NoJob                    no job of that id, or no longer
│   ├── BadMove                  its state allows no such move
│   └── Fenced                   somebody else is in charge of it by now
├── ServerError                  a part of the server does not start or does not stay up
└── RemoteError                  a server that was asked refuses, or cannot be reached
"""

import errno


class MatteboxError(Exception):
    """Base of all. `code` is stable and machine-readable; the message is one line for a person."""

    code = "failed"
    exit_code = 1


class UsageError(MatteboxError):
    code = "usage"
    exit_code = 2


class UnsupportedOutput(UsageError):  # noqa: N818 - these are named for what went wrong
    code = "unsupported_output"


class InputError(MatteboxError):
    code = "bad_input"


class UnreadableMedia(InputError):  # noqa: N818
    code = "unreadable_media"


class NoVideoStream(InputError):  # noqa: N818
    code = "no_video_stream"


class TooLarge(InputError):  # noqa: N818
    code = "too_large"


class FetchError(InputError):
    code = "fetch"


class BackgroundError(MatteboxError):
    code = "bad_background"


class WeightsError(MatteboxError):
    code = "weights"


class EngineError(MatteboxError):
    code = "engine"


class NotLoaded(EngineError):  # noqa: N818
    code = "not_loaded"


class EncodeError(MatteboxError):
    code = "encode"


class SdpError(MatteboxError):
    code = "bad_sdp"


class UnsupportedCodec(SdpError):  # noqa: N818
    code = "unsupported_codec"


class DiskError(MatteboxError):
    code = "disk"


class StoreError(MatteboxError):
    code = "store"


class StoreDown(StoreError):  # noqa: N818
    code = "store_down"


class NoSession(StoreError):  # noqa: N818
    code = "no_session"


class NoJob(StoreError):  # noqa: N818
    code = "no_job"


class BadMove(StoreError):  # noqa: N818
    code = "bad_move"


class Fenced(StoreError):  # noqa: N818
    code = "fenced"


class ServerError(MatteboxError):
    code = "server"


class RemoteError(MatteboxError):
    code = "remote"


_DISK_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than this system allows",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOENT: "no such folder",
    errno.ENOTDIR: "a part of the path is not a folder",
    errno.EISDIR: "it is a folder",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EIO: "input/output error",
}


def is_disk_trouble(exc: OSError) -> bool:
    """Is it the place that is written to, and not what is written?"""
    return exc.errno in _DISK_REASONS


def disk_error(exc: OSError, path: object) -> DiskError:
    """What an OSError from writing to `path` means, in words. Unknown numbers keep the system's text."""
    reason = _DISK_REASONS.get(exc.errno or 0, exc.strerror or str(exc))
    return DiskError(f"cannot write {path}: {reason}")
