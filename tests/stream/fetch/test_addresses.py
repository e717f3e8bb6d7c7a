"""Addresses that a server may and may not connect to for a user; nothing here opens a connection."""

import ipaddress

import pytest

from stream.fetch.addresses import allowed

METADATA = [
    "169.254.169.254", "169.254.170.2", "169.254.170.23", "192.0.0.192", "168.63.129.16", "100.100.100.200",
    "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42", "fd00:c1::a9fe:a9fe", "fe80::a9fe:a9fe",
    "169.254.0.23",
]  # fmt: skip
NEVER = [
    *METADATA, "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "::",
    "fe80::1", "fe80::1%eth0", "ff02::1", "ff0e::1", "192.0.0.1", "192.0.0.171",
]  # fmt: skip
PRIVATE = [
    "10.0.0.8", "127.0.0.1", "127.255.255.254", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
    "100.127.255.255", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9",
    "::1", "fc00::1", "fd12:3456::1", "fec0::1", "100::1", "2001:db8::1", "2001:10::1", "3fff::1", "5f00::1", "4000::1",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8", "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
    "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0",
    "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
    "2606:4700::1", "2001:200::1", "2001:4860:4860::8888", "2a00::1", "3ffe:ffff::1",
]  # fmt: skip
NOT_ADDRESSES = [
    "",
    "host",
    "0x7f000001",
    "2130706433",
    "127.1",
    "0177.0.0.1",
    "::g",
    "8.8.8.8/32",
    "[::1]",
    "1.2.3.4 ",
]


def wrapped(text: str) -> list[str]:
    """The forms in which an IPv6 address may contain the IPv4 address `text`."""
    v4 = ipaddress.IPv4Address(text)
    high, low, value = f"{int(v4) >> 16:x}", f"{int(v4) & 0xFFFF:x}", int(v4)
    inverted = f"{~value >> 16 & 0xFFFF:x}:{~value & 0xFFFF:x}"
    local = int(ipaddress.IPv6Address("64:ff9b:1::"))
    places = [
        (value >> 16) << 64 | (value & 0xFFFF) << 40,  # prefix of 48 bits; bits 64 to 71 stay zero
        (value >> 24) << 64 | (value & 0xFF_FFFF) << 32,  # 56
        value << 24,  # 64
        value,  # 96
    ]
    return [
        f"::ffff:{text}", f"::ffff:0:{text}", f"::{text}", f"64:ff9b::{text}", f"2002:{high}:{low}::1",
        f"2001:0:{high}:{low}:0:0:f7f7:f7f7", f"2001:0:808:808:0:0:{inverted}", f"2606:4700::5efe:{text}",
        f"fd12::200:5efe:{text}",
        *(str(ipaddress.IPv6Address(local | place)) for place in places),
    ]  # fmt: skip


def v4(addresses: list[str]) -> list[str]:
    return [a for a in addresses if ":" not in a]


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("address", NEVER)
def test_never_allowed(address: str, private: bool) -> None:
    assert not allowed(address, private)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_allowed_only_on_request(address: str) -> None:
    assert not allowed(address)
    assert allowed(address, private=True)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert allowed(address)
    assert allowed(address, private=True)


@pytest.mark.parametrize("text", NOT_ADDRESSES)
def test_anything_but_an_address_is_refused(text: str) -> None:
    assert not allowed(text, private=True)


@pytest.mark.parametrize("address", [a for a in v4(NEVER) if not a.startswith("0.")])
def test_no_ipv6_form_hides_a_refused_address(address: str) -> None:
    assert not any(allowed(form, private) for form in wrapped(address) for private in (False, True))


@pytest.mark.parametrize("address", v4(PRIVATE))
def test_an_ipv6_form_of_a_private_address_is_private(address: str) -> None:
    assert not any(allowed(form) for form in wrapped(address))
    assert all(allowed(form, private=True) for form in wrapped(address) if not form.startswith("64:ff9b:1:"))


def test_a_local_nat64_address_is_read_at_every_place() -> None:
    assert all(allowed(form, private=True) for form in wrapped("10.0.0.8"))
    assert not allowed("64:ff9b:1:7fff:ff:fe00::", private=True), "127.255.255.254 or 255.255.254.0"


def test_public_ipv4_through_ipv6() -> None:
    assert allowed("::ffff:8.8.8.8")
    assert allowed("64:ff9b::808:808"), "an IPv6-only network reaches IPv4 so"
    assert not any(allowed(a) for a in ("::8.8.8.8", "::ffff:0:8.8.8.8", "2002:808:808::1", "64:ff9b:1::808:808"))
    assert all(allowed(form, private=True) for form in wrapped("8.8.8.8"))
