"""Which IP addresses a server may connect to for a user: protection against server-side request forgery (SSRF).

The tables follow the IANA registries of special-purpose addresses (RFC 6890) as of 2026. They are written out here
because the answers of `ipaddress` (`is_global`, `is_private`) change with the patch version of Python.
"""

import ipaddress
from collections.abc import Iterable

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*texts: str) -> tuple[IpNetwork, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


# Never allowed, also where private addresses are: no web server of a user has one of these.
_NEVER = _networks(
    "0.0.0.0/8",  # this network; 0.0.0.0 is this host on Linux
    "100.100.100.200/32",  # metadata service: Alibaba Cloud
    "168.63.129.16/32",  # platform service of Azure
    "169.254.0.0/16",  # link-local; metadata services of most clouds
    "192.0.0.0/24",  # protocol assignments; 192.0.0.192 is the metadata service of Oracle Cloud
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and broadcast
    "::/128",  # unspecified
    "fd00:42::42/128",  # metadata service: Scaleway
    "fd00:c1::a9fe:a9fe/128",  # metadata service: Oracle Cloud
    "fd00:ec2::/32",  # metadata, credentials, DNS and time of AWS
    "fd20:ce::254/128",  # metadata service: Google Cloud
    "fe80::/10",  # link-local
    "ff00::/8",  # multicast
)
# Allowed only where private addresses are.
_PRIVATE_IPV4 = _networks(
    "10.0.0.0/8",
    "100.64.0.0/10",  # shared address space of carriers (RFC 6598)
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.0.2.0/24",  # documentation, as 198.51.100.0/24 and 203.0.113.0/24
    "192.88.99.0/24",  # 6to4 relays, withdrawn
    "192.168.0.0/16",
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",
    "203.0.113.0/24",
)
# IPv6 is allocated from 2000::/3 only: everything outside is private or has no route, and so are these parts of it.
_ALLOCATED_IPV6 = ipaddress.ip_network("2000::/3")
_PRIVATE_IPV6 = _networks(
    "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
    "2001:db8::/32",  # documentation, as 3fff::/20
    "2002::/16",  # 6to4, withdrawn (RFC 7526)
    "3fff::/20",
)
_MAPPED = ipaddress.ip_network("::ffff:0:0/96")  # RFC 4291
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the public IPv4 Internet, seen from an IPv6-only network
_LAST_32_BITS = _networks("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")  # the latter of RFC 2765
_LOOPBACK = ipaddress.ip_address("::1")  # in ::/96, but no IPv4 address
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")  # RFC 8215
_6TO4 = ipaddress.ip_network("2002::/16")
_TEREDO = ipaddress.ip_network("2001::/32")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)  # bits 64 to 95 (RFC 5214), under any prefix


def allowed(text: str, private: bool = False) -> bool:
    """Whether requests to an IP address are allowed, and to every IPv4 address that it may contain.

    text: IPv4 or IPv6 address, with or without a zone; anything else is refused. private: also allow private
    addresses. Multicast, link-local and reserved addresses and the metadata services of clouds are always refused.
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    contained = _contained_ipv4(address)
    if any(_within(a, _NEVER) for a in (address, *contained)):
        return False
    return private or _is_public(address, contained)


def _is_public(address: IpAddress, contained: Iterable[IpAddress]) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return not _within(address, _PRIVATE_IPV4)
    if address in _ALLOCATED_IPV6:
        return not _within(address, _PRIVATE_IPV6) and all(_is_public(a, ()) for a in contained)
    return (address in _MAPPED or address in _NAT64) and all(_is_public(a, ()) for a in contained)


def _within(address: IpAddress, networks: Iterable[IpNetwork]) -> bool:
    return any(address in network for network in networks)


def _contained_ipv4(address: IpAddress) -> tuple[ipaddress.IPv4Address, ...]:
    """The IPv4 addresses that a gateway or tunnel may read out of an IPv6 address."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    bits = int(address)
    found: list[int] = []
    if address == _LOOPBACK:
        return ()
    if _within(address, _LAST_32_BITS) or (bits >> 32) & 0xFFFF_FFFF in _ISATAP:
        found.append(bits)
    if address in _6TO4:
        found.append(bits >> 80)
    if address in _TEREDO:
        found += [bits >> 64, ~bits]  # the server, and the client with its bits inverted (RFC 4380)
    if address in _NAT64_LOCAL:
        found += [value for value in _nat64_readings(bits) if value >> 24]  # 0.x.x.x is the padding of another reading
    return tuple(ipaddress.IPv4Address(value & 0xFFFF_FFFF) for value in found)


def _nat64_readings(bits: int) -> tuple[int, ...]:
    """The 32-bit addresses at each place of RFC 6052 for a prefix of 48 bits or more, whose length is unknown."""
    prefix_48 = (bits >> 64 & 0xFFFF) << 16 | bits >> 40 & 0xFFFF
    prefix_56 = (bits >> 64 & 0xFF) << 24 | bits >> 32 & 0xFF_FFFF
    prefix_64, prefix_96 = bits >> 24 & 0xFFFF_FFFF, bits & 0xFFFF_FFFF
    return prefix_48, prefix_56, prefix_64, prefix_96
