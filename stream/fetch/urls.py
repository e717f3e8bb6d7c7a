"""Validation of URLs."""

from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit


def parsed(url: str, schemes: Collection[str]) -> SplitResult | None:
    """The parts of a URL; None unless it has one of `schemes`, a host, and a port from 1 to 65535 if any.

    Gives no reason, because Python's error messages may quote a password.
    """
    try:
        parts = urlsplit(url)
        valid = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # invalid brackets or port
        return None
    return parts if valid else None
