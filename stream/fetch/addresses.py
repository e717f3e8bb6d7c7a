"""Network addresses as people write them."""

from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit


def parsed(url: str, schemes: Collection[str]) -> SplitResult | None:
    """Its parts; None unless it has one of these schemes, a host, and a port from 1 to 65535 if any.

    What is wrong with it is not said: Python's own words for it may quote a password.
    """
    try:
        parts = urlsplit(url)
        known = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets or a port that are none
        return None
    return parts if known else None
