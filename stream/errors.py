"""The error tree. Every failure that a user can cause or fix is one of these; anything else is a bug.

MatteboxError                    exit code 1
├── UsageError                   wrong arguments on the command line or in a request (exit code 2)
│   └── UnsupportedOutput        the output's format does not support the request
├── InputError                   the input video cannot be used
│   ├── UnreadableMedia          not a video, too damaged, or of a refused kind
│   ├── NoVideoStream            sound, subtitles or cover art only
│   ├── TooLarge                 over a limit on pixels, frames, duration or bytes
│   └── FetchError               its URL cannot be fetched, or is not allowed
├── BackgroundError              the replacement background cannot be read
├── WeightsError                 weights are missing, cannot be fetched, or have an unknown checksum
├── EngineError                  a model failed on a frame
│   └── NotLoaded                the model is still loading
├── EncodeError                  an encoder rejects the frame or the audio
├── OutputClosed                 the program that reads standard output has ended (exit code 141)
├── SdpError                     an SDP offer or its ICE candidates cannot be used (nothing was kept)
│   └── UnsupportedCodec         the offer has neither H.264 nor VP8 as browsers send them
├── DiskError                    no space, or no permission to write
├── DeviceError                  a camera or a virtual camera is missing, in use, or has failed
├── StoreError                   the records of live video and of file jobs
│   ├── StoreDown                Redis is unreachable or refuses writes
│   ├── NoSession                no session with that id (any more)
│   ├── NoJob                    no job with that id (any more)
│   ├── NoFeed                   no feed with that id (any more)
│   ├── TooManyFeeds             the owner has as many feeds as allowed
│   ├── FeedNameTaken            the owner has another feed with this name
│   ├── FeedChanged              someone else changed the feed at the same time
│   ├── KeyReused                an idempotency key was used for another request
│   ├── TooManyJobs              the owner has as many unfinished jobs as allowed
│   ├── JobsTooLarge             the owner's jobs keep as many bytes in storage as allowed
│   ├── BadMove                  the current state does not allow this transition
│   │   └── NameTaken            another user has the name of the stream
│   └── Fenced                   another worker owns it now
├── Overloaded                   the server has too many requests of a kind at the moment
├── ServerError                  a process of the server does not start or keeps crashing
└── RemoteError                  a remote server refuses a request, or is unreachable
"""

import errno
import os
import re
from typing import Self


class MatteboxError(Exception):
    """Base class. `code` is stable and machine-readable; the message is one line for people."""

    code = "failed"
    exit_code = 1


class UsageError(MatteboxError):
    code = "usage"
    exit_code = 2


class UnsupportedOutput(UsageError):  # noqa: N818 - named after the problem, without "Error"
    code = "unsupported_output"


class InputError(MatteboxError):
    code = "bad_input"


class UnreadableMedia(InputError):  # noqa: N818
    code = "unreadable_media"


class NoVideoStream(InputError):  # noqa: N818
    code = "no_video_stream"

    @classmethod
    def numbered(cls, file: str, number: int, count: int) -> Self:
        """The error for a stream that the file does not have. count: number of its video streams, at least 1."""
        known = f"streams 0 to {count - 1}" if count > 1 else "stream 0"
        return cls(f"{file} has no video stream {number}, only {known}")


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


class OutputClosed(MatteboxError):  # noqa: N818
    code = "output_closed"
    exit_code = 141  # that of a program killed by SIGPIPE


class SdpError(MatteboxError):
    code = "bad_sdp"


class UnsupportedCodec(SdpError):  # noqa: N818
    code = "unsupported_codec"


class DiskError(MatteboxError):
    code = "disk"


class DeviceError(MatteboxError):
    code = "device"


class StoreError(MatteboxError):
    code = "store"


class StoreDown(StoreError):  # noqa: N818
    code = "store_down"


class NoSession(StoreError):  # noqa: N818
    code = "no_session"


class NoJob(StoreError):  # noqa: N818
    code = "no_job"


class TooManyJobs(StoreError):  # noqa: N818
    code = "too_many_jobs"


class NoFeed(StoreError):  # noqa: N818
    code = "no_feed"


class TooManyFeeds(StoreError):  # noqa: N818
    code = "too_many_feeds"


class FeedNameTaken(StoreError):  # noqa: N818
    code = "name_in_use"


class FeedChanged(StoreError):  # noqa: N818
    code = "changed"


class KeyReused(StoreError):  # noqa: N818
    code = "key_reused"


class JobsTooLarge(StoreError):  # noqa: N818
    code = "over_quota"


class BadMove(StoreError):  # noqa: N818
    code = "bad_move"


class NameTaken(BadMove):
    """The new state is refused because another user has the stream's name."""


class Fenced(StoreError):  # noqa: N818
    code = "fenced"


class Overloaded(MatteboxError):  # noqa: N818
    code = "overloaded"


class ServerError(MatteboxError):
    code = "server"


class RemoteError(MatteboxError):
    """retry_after_s: the server asked for this pause before the next request."""

    code = "remote"
    retry_after_s = 0.0


_DISK_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than this system allows",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOENT: "no such folder",
    errno.ENOTDIR: "part of the path is not a folder",
    errno.EISDIR: "it is a folder",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EIO: "input/output error",
}


def is_disk_trouble(exc: OSError) -> bool:
    """True where the disk or path is the problem, rather than the data being written."""
    return exc.errno in _DISK_REASONS


def disk_error(exc: OSError, path: object) -> DiskError:
    """A DiskError that explains an OSError from writing to `path`. Unknown errno values keep the system's text."""
    reason = _DISK_REASONS.get(exc.errno or 0, exc.strerror or str(exc))
    return DiskError(f"cannot write {path}: {reason}")


_PATH_START = re.compile(r"(?<![\w/.~\])-])(?=/[^\s/])")  # neither within a URL nor within a word
_FOLDERS = re.compile(r"/(?:[^\s/'\"]+/)*")


def without_paths(text: str) -> str:
    """The text of an error for other people: each absolute path is reduced to its last name.

    Messages for a terminal and for the log keep their paths; what is sent over HTTP or stored in records does not
    reveal how this machine's disk is laid out.
    """
    parts, at = [], 0
    for match in _PATH_START.finditer(text):
        if match.start() >= at:
            parts.append(text[at : match.start()])
            at = _end_of_folders(text, match.start())
    return "".join([*parts, text[at:]])


def _end_of_folders(text: str, start: int) -> int:
    """Where the name begins in the path at `start`. Existing folders are recognised with spaces in their names."""
    plain = _FOLDERS.match(text, start)
    ends = [i for i, char in enumerate(text[start:], start) if char == "/" and os.path.isdir(text[start:i])]
    return max(plain.end() if plain else start, *(i + 1 for i in ends), start)
