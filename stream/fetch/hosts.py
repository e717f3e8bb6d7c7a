"""Resolution of host names that users give, with every address checked. Opens no connection. Blocks: call it in a
thread."""

import socket

from stream.errors import FetchError
from stream.fetch.addresses import allowed
from stream.settings import Settings


def checked_addresses(host: str, shown: str, settings: Settings, trusted: bool = False) -> tuple[str, ...]:
    """The IP addresses of a host, all of which are allowed. shown: the address in error messages, without secrets.
    trusted: private addresses are allowed, also without a network.

    Raises FetchError.
    """
    if settings.offline and not trusted:
        raise FetchError("MATTEBOX_OFFLINE is set: nothing is fetched")
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise FetchError(f"{shown}: there is no such host") from None
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if not allowed(address, settings.allow_private_urls or trusted):
            raise FetchError(f"{shown}: addresses of this machine or a private network are not allowed")
    return addresses
