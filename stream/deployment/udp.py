"""UDP for live video: free ports of the range, and whether the public address leads here."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Iterator

from aioice import stun

from stream.finding import Finding
from stream.rtc.ice import local_addresses
from stream.settings import Settings

_ANSWER_S = 1.0
_FORWARD = "forward these ports unchanged to this machine, and publish them unchanged from its container"


async def check(settings: Settings) -> list[Finding]:
    return [_ports(settings), await _public(settings)]


def _ports(settings: Settings) -> Finding:
    name, addresses = "udp ports", local_addresses(settings)
    if not addresses:
        return Finding(name, False, "this machine has no address", "connect it to a network")
    if settings.udp_address and not _bindable(settings.udp_address, 0):
        remedy = "set MATTEBOX_UDP_ADDRESS to an address of this machine, or leave it empty"
        return Finding(name, False, f"{settings.udp_address} is not an address of this machine", remedy)
    first, last = settings.udp_port_range()
    where = ", ".join(addresses)
    if not last:
        remedy = "set MATTEBOX_UDP_PORTS to a range, and open it in the firewall"
        return Finding(name, None, f"any free port, on {where}", remedy)
    ports = range(first, last + 1)
    free = [port for port in ports if all(_bindable(address, port) for address in addresses)]
    detail = f"{len(free)} of {len(ports)} ports of {settings.udp_ports} are free, on {where}"
    if not free:
        return Finding(name, False, detail, "free them, or choose another range: each live video needs one")
    if len(free) < len(ports):
        return Finding(name, None, detail, "no fault if a worker of this machine uses them")
    return Finding(name, True, detail)


def _bindable(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), _socket(address) as sock:
        sock.bind((address, port))
        return True
    return False


def _socket(address: str) -> socket.socket:
    version = ipaddress.ip_address(address).version
    return socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_DGRAM)


async def _public(settings: Settings) -> Finding:
    """Send a STUN request to the public address, as a client does, and answer it here."""
    name, public = "public address", settings.public_address
    addresses = local_addresses(settings)
    if not public:
        if any(ipaddress.ip_address(address).is_global for address in addresses):
            return Finding(name, True, "this machine has one of its own")
        remedy = "set MATTEBOX_PUBLIC_ADDRESS if clients are not in this network"
        return Finding(name, None, "MATTEBOX_PUBLIC_ADDRESS is not set", remedy)
    port = next((p for p in _candidates(settings) if all(_bindable(a, p) for a in addresses)), None)
    if port is None:
        return Finding(name, None, f"{public}: not tried, because no port is free")
    if await _reached(settings, public, port):
        return Finding(name, True, f"{public} leads to this machine (UDP port {port})")
    detail = f"a packet to {public}, UDP port {port}, did not arrive here"
    return Finding(name, None, detail, f"{_FORWARD}; no fault where a router does not return packets from inside")


def _candidates(settings: Settings) -> Iterator[int]:
    first, last = settings.udp_port_range()
    if last:
        yield from range(first, last + 1)
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((settings.udp_address or "0.0.0.0", 0))
        free: int = probe.getsockname()[1]
    yield free


class _Responder(asyncio.DatagramProtocol):
    """Records the STUN requests that arrive."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self.arrived = asyncio.Event()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        with contextlib.suppress(ValueError):
            self.seen.add(stun.parse_message(data).transaction_id)
            self.arrived.set()


async def _reached(settings: Settings, public: str, port: int) -> bool:
    """Whether a request to the public address arrives at a socket of this machine."""
    loop, request = asyncio.get_running_loop(), stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    version = ipaddress.ip_address(public).version
    own = settings.udp_address or ("::" if version == 6 else "0.0.0.0")
    receiver, responder = await loop.create_datagram_endpoint(_Responder, local_addr=(own, port))
    try:
        sender, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(public, port))
        try:
            sender.sendto(bytes(request))
            async with asyncio.timeout(_ANSWER_S):
                await responder.arrived.wait()
        finally:
            sender.close()
        return request.transaction_id in responder.seen
    except (TimeoutError, OSError):
        return False
    finally:
        receiver.close()
