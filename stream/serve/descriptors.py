"""The limit on file descriptors (open files and connections) of this process and the processes that it starts."""

import contextlib
import resource

_TARGET = 65_536
"""More than any setting needs. Not the hard limit, which may be a billion: some programs close every descriptor up to
the soft limit one by one when they start others."""


def raise_limit(target: int = _TARGET) -> int:
    """Raise the soft limit to `target`, or to the hard limit if that is lower. Returns the limit; never lowers it.

    Nothing in Mattebox or its dependencies uses select(), which fails for descriptors above 1023: asyncio, FFmpeg and
    Valkey use epoll, kqueue or poll.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    reachable = target if hard == resource.RLIM_INFINITY else min(target, hard)
    if soft != resource.RLIM_INFINITY and soft < reachable:
        with contextlib.suppress(ValueError, OSError):  # macOS has a lower limit than the hard limit that it reports
            resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
