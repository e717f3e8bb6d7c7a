"""Waiting until a descriptor is ready. `select.select` fails for descriptors above 1023, which a busy worker has."""

import select

READABLE, WRITABLE = select.POLLIN, select.POLLOUT


def ready(descriptor: int, event: int, wait_s: float) -> bool:
    """Whether `event` (`READABLE` or `WRITABLE`) happens within a time limit. An error and a closed other end count:
    the read or write then reports them."""
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(round(wait_s * 1000)))
