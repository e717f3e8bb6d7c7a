"""Addresses and ports of a WebRTC connection: which of ours are offered, which of a client's are spoken to, TURN.

aioice binds any port on every address but the loopback; `Connection` here binds where the operator says. Knows nothing
about media.
"""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import logging
import random
import socket
import time
from dataclasses import dataclass
from typing import Any

import aioice
import aioice.ice
from aioice.candidate import candidate_foundation, candidate_priority
from aiortc import RTCIceServer, RTCPeerConnection

from stream.settings import Settings

_log = logging.getLogger(__name__)

_LOOPBACK = "127.0.0.1"
_TURN_CREDENTIAL_S = 3600  # an allocation made in time lives on; only a new one needs a new credential
_GATHER_S = 2  # an answer waits no longer for STUN and TURN servers
_RECEIVE_BUFFER = 1 << 20  # bytes: a keyframe of a large picture comes in one burst
_METADATA = frozenset(map(ipaddress.ip_address, ("169.254.169.254", "fd00:ec2::254", "100.100.100.200")))


def ice_servers(settings: Settings, user: str, now_s: float | None = None) -> list[dict[str, Any]]:
    """The STUN and TURN servers, as browsers take them in `iceServers`; TURN with a credential for one hour.

    The credential is that of the TURN REST convention (coturn's `use-auth-secret`): the name is `<expiry>:<user>`, the
    password the base64 of HMAC-SHA1 over it by the secret shared with the server. user: letters, digits, `-`.
    """
    urls = settings.ice_server_urls()
    stun = [{"urls": [url]} for url in urls if url.startswith("stun")]
    turn = [url for url in urls if url.startswith("turn")]
    if not turn:
        return stun
    name = f"{int((time.time() if now_s is None else now_s) + _TURN_CREDENTIAL_S)}:{user}"
    digest = hmac.new(settings.turn_secret.encode(), name.encode(), hashlib.sha1).digest()
    return [*stun, {"urls": turn, "username": name, "credential": base64.b64encode(digest).decode()}]


def aiortc_servers(settings: Settings, user: str) -> list[RTCIceServer]:
    """The same for our own side. Empty where none are set: aiortc would else ask a public one."""
    return [RTCIceServer(**server) for server in ice_servers(settings, user)]


def turn_hosts(settings: Settings) -> list[tuple[str, int]]:
    """Host and port of each TURN server."""
    found = []
    for url in settings.ice_server_urls():
        if url.startswith("turn"):
            scheme, _, rest = url.partition(":")
            host, _, port = rest.partition("?")[0].rpartition(":")
            default = 5349 if scheme == "turns" else 3478
            found.append((host, int(port)) if host and port.isdigit() else (rest.partition("?")[0], default))
    return found


def local_addresses(settings: Settings) -> list[str]:
    """Where media is received: the address that was set, else every one of this machine.

    The loopback is among them where it was asked for, and where there is no other: a laptop without a network.
    """
    if settings.udp_address:
        return [settings.udp_address]
    found = aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True)
    usable = [a for a in found if not ipaddress.ip_address(a).is_link_local]
    return [*usable, _LOOPBACK] if settings.loopback_candidates or not usable else usable


@dataclass(frozen=True)
class Reach:
    """Which of the addresses a client names are spoken to.

    Its candidates make this machine send packets wherever they point: never to itself (unless media is served there),
    to link-local addresses, where clouds keep their secrets, nor to the operator's own TURN servers.
    """

    loopback: bool = False
    refused: frozenset[tuple[str, int]] = frozenset()

    def allows(self, address: str, port: int) -> bool:
        """Names, mDNS ones too, are refused: the client's own checks tell us where it is."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        ip = getattr(ip, "ipv4_mapped", None) or ip
        odd = ip.is_multicast or ip.is_unspecified or ip.is_link_local or str(ip) == "255.255.255.255"
        if odd or ip in _METADATA or (str(ip), port) in self.refused:
            return False
        return self.loopback or not ip.is_loopback


async def reach(settings: Settings) -> Reach:
    """What clients may name, with the operator's TURN servers looked up (one second at most for each)."""
    loopback = any(ipaddress.ip_address(address).is_loopback for address in local_addresses(settings))
    refused = set()
    for host, port in turn_hosts(settings):
        refused |= {(address, port) for address in await _resolved(host)}
    return Reach(loopback, frozenset(refused))


async def _resolved(host: str) -> set[str]:
    look_up = asyncio.get_running_loop().getaddrinfo(host.strip("[]"), None, type=socket.SOCK_DGRAM)
    try:
        return {str(info[4][0]) for info in await asyncio.wait_for(look_up, 1.0)}
    except (OSError, TimeoutError):
        return set()


class Connection(aioice.Connection):
    """An ICE connection on the operator's addresses and ports, which knows when it last heard from the client."""

    settings: Settings
    heard_s: float

    async def get_component_candidates(
        self, component: int, addresses: list[str], timeout: int = 5
    ) -> list[aioice.Candidate]:
        """Ours instead of aioice's: `addresses` are its own choice and are left."""
        protocols = [p for a in local_addresses(self.settings) if (p := await self._bind(a, component))]
        self._protocols += protocols
        found = [p.local_candidate for p in protocols]
        found += _seen_from_outside(self.settings, found)
        found += await self._reflexive(protocols)
        found += await super().get_component_candidates(component, [], _GATHER_S)  # with no address: TURN's alone
        if self._closing:  # meanwhile: these were not seen by it
            await asyncio.gather(*(protocol.close() for protocol in self._protocols))
        return found

    async def _bind(self, address: str, component: int) -> aioice.ice.StunProtocol | None:
        loop = asyncio.get_running_loop()
        for port in _ports(self.settings):
            try:
                transport, protocol = await loop.create_datagram_endpoint(
                    lambda: aioice.ice.StunProtocol(self), local_addr=(address, port)
                )
            except OSError:
                continue
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            host, port = transport.get_extra_info("sockname")[:2]
            protocol.local_candidate = _candidate("host", component, host, port)
            return protocol
        _log.warning("no UDP port of %s is free on %s", self.settings.udp_ports or "this machine", address)
        return None

    async def _reflexive(self, protocols: list[aioice.ice.StunProtocol]) -> list[aioice.Candidate]:
        """What a STUN server sees. One that does not answer costs two seconds and nothing else."""
        if self.stun_server is None:
            return []
        asked = [p for p in protocols if ":" not in p.local_candidate.host]
        answers = (aioice.ice.server_reflexive_candidate(p, self.stun_server) for p in asked)
        within = (asyncio.wait_for(answer, _GATHER_S) for answer in answers)
        found = await asyncio.gather(*within, return_exceptions=True)
        return [answer[0] for answer in found if not isinstance(answer, BaseException)]

    async def connect(self) -> None:
        """aioice's, but one that was closed on its last step does not go on asking for consent for ever."""
        await super().connect()
        if self._closing and self._query_consent_task is not None:
            self._query_consent_task.cancel()
            raise ConnectionError("closed while connecting")

    def data_received(self, data: bytes, component: int) -> None:
        self.heard_s = time.monotonic()
        super().data_received(data, component)

    def request_received(self, *args: Any) -> None:
        self.heard_s = time.monotonic()
        super().request_received(*args)


def connections(pc: RTCPeerConnection, settings: Settings) -> list[Connection]:
    """The ICE connections of `pc`, made ours. Call between its remote and its local description.

    aiortc offers no way to give it another class; a connection is changed while it holds no socket yet.
    """
    found = {t.receiver.transport.transport.iceGatherer._connection for t in pc.getTransceivers()}
    for connection in found:
        connection.__class__ = Connection
        connection.settings, connection.heard_s = settings, time.monotonic()  # type: ignore[attr-defined]
    return list(found)  # type: ignore[arg-type]


def _ports(settings: Settings) -> list[int]:
    """In the order they are tried: any, or those of the range from a random one on."""
    first, last = settings.udp_port_range()
    if not last:
        return [0]
    start = random.randint(first, last)
    return [*range(start, last + 1), *range(first, start)]


def _seen_from_outside(settings: Settings, found: list[aioice.Candidate]) -> list[aioice.Candidate]:
    """The public address, with the ports of the private ones, which the router or the host passes on unchanged."""
    public = settings.public_address
    if not public:
        return []
    version = ipaddress.ip_address(public).version
    inside = [c for c in found if ipaddress.ip_address(c.host).version == version and c.host not in (public, _LOOPBACK)]
    return [_candidate("srflx", c.component, public, c.port, (c.host, c.port)) for c in inside]


def _candidate(
    kind: str, component: int, host: str, port: int, related: tuple[str, int] | tuple[None, None] = (None, None)
) -> aioice.Candidate:
    return aioice.Candidate(
        foundation=candidate_foundation(kind, "udp", related[0] or host),
        component=component,
        transport="udp",
        priority=candidate_priority(component, kind),
        host=host,
        port=port,
        type=kind,
        related_address=related[0],
        related_port=related[1],
    )
