"""ICE addresses and ports: our own candidates, the policy for a client's candidates, and STUN and TURN servers.

aioice binds random ports on all addresses except loopback; `Connection` binds what the settings say. Knows nothing
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

from stream.fetch.addresses import allowed
from stream.rtc.ice_overrides import TolerantConnection
from stream.settings import Settings

_log = logging.getLogger(__name__)

_LOOPBACK = "127.0.0.1"
_TURN_CREDENTIAL_S = 3600  # existing allocations outlive it; only new ones need a valid credential
_GATHER_S = 2  # longest wait of an answer for STUN and TURN servers
_RECEIVE_BUFFER = 1 << 20  # bytes: a large keyframe arrives in one burst
_NOT_STUN = b"\x04"  # first bytes from here on


def ice_servers(settings: Settings, user: str, now_s: float | None = None) -> list[dict[str, Any]]:
    """The STUN and TURN servers in the form of browsers' `iceServers`; TURN with a credential for one hour.

    The credential follows the TURN REST convention (coturn's `use-auth-secret`): the name is `<expiry>:<user>`, the
    password is the base64 of its HMAC-SHA1 with the secret shared with the server. user: letters, digits, `-`.
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
    """The same servers for aiortc. Pass the list even when empty: aiortc defaults to a public STUN server."""
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
    """Addresses to receive media on: `udp_address` where set, else all of this machine.

    Loopback is included where the settings ask for it, and where there is no other address, as on an offline laptop.
    """
    if settings.udp_address:
        return [settings.udp_address]
    found = aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True)
    usable = [a for a in found if not ipaddress.ip_address(a).is_link_local]
    return [*usable, _LOOPBACK] if settings.loopback_candidates or not usable else usable


@dataclass(frozen=True)
class CandidatePolicy:
    """Which of a client's candidate addresses packets may be sent to.

    A candidate makes this machine send packets to any address in it. Refused are loopback (unless media is served
    there), what `stream.fetch.addresses` never allows, such as the metadata services of clouds, and the operator's own
    TURN servers.
    """

    loopback: bool = False
    refused: frozenset[tuple[str, int]] = frozenset()

    def allows(self, address: str, port: int) -> bool:
        """Host names, including mDNS names, are refused: the client's connectivity checks reveal its address."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        ip = getattr(ip, "ipv4_mapped", None) or ip
        if (str(ip), port) in self.refused or not allowed(str(ip), private=True):
            return False
        return self.loopback or not ip.is_loopback


async def candidate_policy(settings: Settings) -> CandidatePolicy:
    """The policy by the settings; looks up the operator's TURN servers, for at most one second each."""
    loopback = any(ipaddress.ip_address(address).is_loopback for address in local_addresses(settings))
    refused = set()
    for host, port in turn_hosts(settings):
        refused |= {(address, port) for address in await _resolved(host)}
    return CandidatePolicy(loopback, frozenset(refused))


async def _resolved(host: str) -> set[str]:
    lookup = asyncio.get_running_loop().getaddrinfo(host.strip("[]"), None, type=socket.SOCK_DGRAM)
    try:
        return {str(info[4][0]) for info in await asyncio.wait_for(lookup, 1.0)}
    except (OSError, TimeoutError):
        return set()


class _Datagrams(aioice.ice.StunProtocol):
    """A UDP socket of a `Connection`. Anyone can send to its port.

    Passed on are well-formed STUN, and other data from the client's addresses, told apart by the first byte (RFC 7983).
    An empty datagram would end aiortc's connection, and malformed STUN would raise an error in the event loop.
    """

    receiver: "Connection"

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        assert isinstance(data, bytes)
        if data[:1] < _NOT_STUN:
            try:
                super().datagram_received(data, addr)
            except Exception as exc:  # noqa: BLE001 - aioice raises nearly anything on malformed STUN
                _log.debug("dropped malformed STUN from %s: %r", addr[0], exc)
        elif self.receiver.is_client(addr[0], addr[1]):
            self.receiver.data_received(data, self.local_candidate.component)


class Connection(TolerantConnection):
    """An ICE connection on the configured addresses and ports. received_s: last packet from the client, by
    `time.monotonic`."""

    settings: Settings
    received_s: float

    async def get_component_candidates(
        self, component: int, addresses: list[str], timeout: int = 5
    ) -> list[aioice.Candidate]:
        """Overrides aioice's method: `addresses`, which aioice found itself, is ignored."""
        protocols = [p for a in local_addresses(self.settings) if (p := await self._bind(a, component))]
        self._protocols += protocols
        found = [p.local_candidate for p in protocols]
        found += _public_candidates(self.settings, found)
        found += await self._reflexive(protocols)
        found += await super().get_component_candidates(
            component, [], _GATHER_S
        )  # without addresses it gathers only TURN's
        for relayed in self._protocols:
            relayed.__class__ = _Datagrams
        if self._closing:  # closed while gathering: these sockets were not closed with it
            await asyncio.gather(*(protocol.close() for protocol in self._protocols))
        return found

    async def _bind(self, address: str, component: int) -> aioice.ice.StunProtocol | None:
        loop = asyncio.get_running_loop()
        for port in _ports(self.settings):
            try:
                transport, protocol = await loop.create_datagram_endpoint(
                    lambda: _Datagrams(self), local_addr=(address, port)
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
        """Server-reflexive candidates, from the STUN server; none where it does not answer within two seconds."""
        if self.stun_server is None:
            return []
        ipv4 = [p for p in protocols if ":" not in p.local_candidate.host]
        answers = (aioice.ice.server_reflexive_candidate(p, self.stun_server) for p in ipv4)
        bounded = (asyncio.wait_for(answer, _GATHER_S) for answer in answers)
        found = await asyncio.gather(*bounded, return_exceptions=True)
        return [answer[0] for answer in found if not isinstance(answer, BaseException)]

    async def connect(self) -> None:
        """As aioice's, but stops the consent checks of a connection that was closed in the last step of connecting."""
        await super().connect()
        if self._closing and self._query_consent_task is not None:
            self._query_consent_task.cancel()
            raise ConnectionError("closed while connecting")

    def is_client(self, host: str, port: int) -> bool:
        """Whether the address is one of the client's: in its offer, or the source of a check that it signed. True for
        every address before the first checks are handled."""
        known = self._remote_candidates
        return not self._early_checks_done or any(c.port == port and c._network_host == host for c in known)

    def data_received(self, data: bytes, component: int) -> None:
        if data[:1] >= _NOT_STUN:  # aioice takes malformed STUN for data
            self.received_s = time.monotonic()
            super().data_received(data, component)

    def request_received(self, message: Any, addr: tuple[str, int], protocol: Any) -> None:
        super().request_received(message, addr, protocol)
        if self.is_client(*addr):
            self.received_s = time.monotonic()


def connections(pc: RTCPeerConnection, settings: Settings) -> list[Connection]:
    """Turn the ICE connections of `pc` into `Connection`s. Call between setting its remote and local description.

    aiortc has no way to pass another class; the class is changed while a connection has no sockets yet.
    """
    found = {t.receiver.transport.transport.iceGatherer._connection for t in pc.getTransceivers()}
    for connection in found:
        connection.__class__ = Connection
        connection.settings, connection.received_s = settings, time.monotonic()  # type: ignore[attr-defined]
        connection.reset()  # type: ignore[attr-defined]
    return list(found)  # type: ignore[arg-type]


def _ports(settings: Settings) -> list[int]:
    """UDP ports to try, in order: 0 for any, else the range, beginning at a random port."""
    first, last = settings.udp_port_range()
    if not last:
        return [0]
    start = random.randint(first, last)
    return [*range(start, last + 1), *range(first, start)]


def _public_candidates(settings: Settings, found: list[aioice.Candidate]) -> list[aioice.Candidate]:
    """Candidates at the public address with the private ones' ports, which the router must forward unchanged."""
    public = settings.public_address
    if not public:
        return []
    version = ipaddress.ip_address(public).version
    private = [
        c for c in found if ipaddress.ip_address(c.host).version == version and c.host not in (public, _LOOPBACK)
    ]
    return [_candidate("srflx", c.component, public, c.port, (c.host, c.port)) for c in private]


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
