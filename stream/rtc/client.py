"""A client of WebRTC: makes an offer, and connects with the answer. Runs on an event loop.

One object is one session. It does not reconnect. `whip_client` sends, `whep_client` receives.
"""

import asyncio
import contextlib
import logging
import time
from abc import ABC, abstractmethod

from aiortc import RTCBundlePolicy, RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription

from stream.errors import MatteboxError, RemoteError
from stream.rtc import ice
from stream.rtc.dtls_overrides import dtls_transports
from stream.rtc.peer import close_connection
from stream.rtc.sdp_parts import CANDIDATE
from stream.rtc.signalling import Signalling
from stream.settings import Settings

_log = logging.getLogger(__name__)
_CHECK_S = 0.25


class RtcClient(ABC):
    """reason: why the session has ended, once it has. Subclasses may override `adapted`, `checked` and `running`."""

    def __init__(self, signalling: Signalling, settings: Settings) -> None:
        self.reason = ""
        self._signalling, self._settings = signalling, settings
        self._pc: RTCPeerConnection | None = None
        self._connections: list[ice.Connection] = []
        self._changed = asyncio.Event()

    @abstractmethod
    def add_lines(self, pc: RTCPeerConnection) -> None:
        """Add what is to be sent and received, before the offer is made."""

    def adapted(self, offer: str) -> str:
        """The offer as it is sent."""
        return offer

    def checked(self, answer: str) -> str:
        """The answer as it is used. Raises RemoteError."""
        return answer

    @abstractmethod
    def take(self, pc: RTCPeerConnection) -> None:
        """Check the answer, which has just been set, and start to use the lines. Raises RemoteError."""

    @property
    def running(self) -> bool:
        """Whether media can flow, once the connection is made."""
        return True

    async def establish(self) -> None:
        """Make the connection. Raises RemoteError.

        A server names its ICE servers in the response to OPTIONS, or to the offer: then a second offer uses them, if no
        connection was made without.
        """
        servers = await self._signalling.servers()
        named = await self._offer(servers)
        if not await self._connected():
            if not named or named == servers:
                raise RemoteError(self._failure())
            await self.close()
            await self._offer(named)
            if not await self._connected():
                raise RemoteError(self._failure())

    async def ended(self) -> None:
        """Wait for the end of the session."""
        while not self.reason:
            if self._pc is None or self._pc.connectionState in ("failed", "closed"):
                self.reason = "the server closed the connection"
            elif self._silent_s() > self._settings.media_timeout_s:
                self.reason = f"the server sent nothing for {self._settings.media_timeout_s:g} s"
            else:
                await self._wait()

    async def close(self) -> None:
        """End the session on the server, and release everything. Idempotent."""
        await self._signalling.end()
        pc, self._pc = self._pc, None
        if pc is not None:
            await close_connection(pc)

    async def _offer(self, servers: list[RTCIceServer]) -> list[RTCIceServer]:
        """Send an offer and use the answer. Returns the ICE servers in the response."""
        pc = self._pc = RTCPeerConnection(RTCConfiguration(servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        pc.on("connectionstatechange", self._changed.set)
        self.add_lines(pc)
        self._connections = ice.connections(pc, self._settings)
        dtls_transports(pc)
        await pc.setLocalDescription(await pc.createOffer())
        answer, named = await self._signalling.offer(self.adapted(pc.localDescription.sdp))
        try:
            text = with_allowed_candidates(self.checked(answer), await ice.candidate_policy(self._settings))
            await pc.setRemoteDescription(RTCSessionDescription(text, "answer"))
            self.take(pc)
        except MatteboxError:
            raise
        except Exception as exc:  # noqa: BLE001 - aiortc raises arbitrary exceptions on answers it cannot use
            _log.info("the answer was refused: %r", exc)
            raise RemoteError("the server's answer cannot be read") from None
        return named

    async def _connected(self) -> bool:
        """Whether a connection is made within the time limit, and media can flow."""
        until_s = time.monotonic() + self._settings.connect_timeout_s
        assert self._pc is not None
        while time.monotonic() < until_s and self._pc.connectionState not in ("failed", "closed"):
            if self._pc.connectionState == "connected" and self.running:
                return True
            await self._wait()
        return False

    def _failure(self) -> str:
        answered = any(connection.checks for connection in self._connections)
        return "the connection for media failed" if answered else "no connection for media: is UDP open on the server?"

    def _silent_s(self) -> float:
        return time.monotonic() - max((c.received_s for c in self._connections), default=0.0)

    async def _wait(self) -> None:
        """Wait for a change of the connection, a quarter of a second at most."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), _CHECK_S)
        self._changed.clear()


def with_allowed_candidates(answer: str, policy: ice.CandidatePolicy) -> str:
    """The answer without candidates to which no packets may be sent."""
    kept = []
    for line in answer.splitlines():
        match = CANDIDATE.fullmatch(line.removeprefix("a=candidate:")) if line.startswith("a=candidate:") else None
        if not line.startswith("a=candidate:") or (match is not None and policy.allows(match[5], int(match[6]))):
            kept.append(line)
    return "\r\n".join(kept) + "\r\n"
