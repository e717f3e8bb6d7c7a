"""Addresses of clients: which ones count as one client, and which ones many clients share. Knows nothing about HTTP."""

import ipaddress
from collections.abc import Callable

_CLIENT_PREFIX_V6 = 64  # bits; a client usually has this whole network to itself


def client_of(host: str) -> str:
    """What limits per client count by: an IPv4 address, or the /64 network of an IPv6 address; other text unchanged."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, _CLIENT_PREFIX_V6), strict=False))
    return str(address)


def shared_by_many(trusted_proxies: str) -> Callable[[str], bool]:
    """A test of whether many clients may share an address: it is a trusted proxy's, or loopback.

    Loopback is included because nothing from the network has it: its connections are those of this machine's own
    users, and of a reverse proxy on this machine, which need not be named in MATTEBOX_TRUSTED_PROXIES.

    trusted_proxies: as the setting: addresses and networks, comma-separated; `*`: every address.
    """
    names = [name.strip() for name in trusted_proxies.split(",") if name.strip()]
    networks = [network for name in names if (network := _network(name)) is not None]

    def shared(host: str) -> bool:
        address = _address(host)
        if "*" in names or host in names or address is None:
            return True
        return address.is_loopback or any(address in network for network in networks)

    return shared


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _network(name: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(name, strict=False)
    except ValueError:
        return None
