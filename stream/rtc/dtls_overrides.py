"""Overrides of aiortc 1.16's DTLS transport: cipher suites, why a handshake failed, and packets that cannot be parsed.

* aiortc offers cipher suites for ECDSA certificates only. A client that is the DTLS server and has an RSA certificate,
  such as GStreamer, finds none in common.
* Its transport does not keep why a handshake failed, and does not tell the client.
* An exception while it handles a packet ends the connection with a traceback: ours drops the packet.

Knows nothing about sessions or media. tests/stream/rtc/test_dtls_overrides.py fails if another aiortc version differs.
"""

import contextlib
import logging

from aiortc import RTCCertificate, RTCDtlsTransport, RTCPeerConnection
from aiortc.rtcdtlstransport import RTCDtlsParameters, RtpReceiver, RtpRouter, SRTPProtectionProfile, State
from aiortc.rtp import RtpPacket
from OpenSSL import SSL

_log = logging.getLogger(__name__)

CIPHERS = ":".join(
    [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA",  # aiortc's last resort
    ]
)  # fmt: skip
"""All have forward secrecy. Those for RSA all have authenticated encryption, which every client with RSA supports."""

MAX_SSRCS = 31
"""Limit on the streams of one connection: an RTCP report has room for no more, and aiortc keeps statistics for each."""


class _Certificate(RTCCertificate):
    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(CIPHERS.encode())
        return context


class _Router(RtpRouter):
    def route_rtp(self, packet: RtpPacket) -> RtpReceiver | None:
        if packet.ssrc not in self.ssrc_table and len(self.ssrc_table) >= MAX_SSRCS:
            return None
        return super().route_rtp(packet)


class _Connection(SSL.Connection):
    """Keeps the first error: aiortc reads after each datagram, which continues the handshake, and ignores errors."""

    error: SSL.Error | None = None

    def recv(self, bufsiz: int, flags: int | None = None) -> bytes:
        try:
            return super().recv(bufsiz, flags)
        except SSL.WantReadError:
            raise
        except SSL.Error as exc:
            self.error = self.error or exc
            raise


class DtlsTransport(RTCDtlsTransport):
    """A DTLS transport that drops malformed packets. failure: why the handshake failed; empty if it has not."""

    failure: str = ""

    async def start(self, remoteParameters: RTCDtlsParameters) -> None:  # noqa: N803 - aiortc's name
        try:
            await super().start(remoteParameters)
        except Exception as exc:  # noqa: BLE001 - of untrusted input, such as a certificate that cannot be parsed
            self._fail(repr(exc))

    async def _do_handshake(self) -> None:
        """As aiortc's, but keeps the reason of a failure, and sends the client the alert about it."""
        assert self._ssl is not None
        self._ssl.__class__ = _Connection
        try:
            while not self.encrypted:
                await self._handshake_step()
        except SSL.Error as exc:
            with contextlib.suppress(ConnectionError):
                await self._write_ssl()
            self._fail(_reason(getattr(self._ssl, "error", None) or exc))
        except ConnectionError:
            self._fail("the connection was lost during the handshake")

    async def _handshake_step(self) -> None:
        assert self._ssl is not None
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            await self._write_ssl()
            await self._recv_next()
        else:
            self.encrypted = True

    def _validate_peer_identity(self, remoteParameters: RTCDtlsParameters) -> None:  # noqa: N803 - aiortc's name
        self.failure = "the client's certificate does not match the fingerprint in its offer"
        super()._validate_peer_identity(remoteParameters)  # if it fails, listeners read `failure` at once
        if self._state is not State.FAILED:
            self.failure = ""

    def _setup_srtp(self) -> None:
        self.failure = "the client supports none of our SRTP profiles"
        super()._setup_srtp()
        if self._state is not State.FAILED:
            self.failure = ""

    def _fail(self, failure: str) -> None:
        self.failure = failure
        self._set_state(State.FAILED)

    async def _handle_rtp_data(self, data: bytes, arrival_time_ms: int) -> None:
        try:
            await super()._handle_rtp_data(data, arrival_time_ms)
        except ConnectionError:
            raise
        except Exception as exc:  # noqa: BLE001 - of untrusted input; aiortc raises nearly anything
            _log.debug("dropped an RTP packet: %r", exc)

    async def _handle_rtcp_data(self, data: bytes) -> None:
        try:
            await super()._handle_rtcp_data(data)
        except ConnectionError:
            raise
        except Exception as exc:  # noqa: BLE001 - of untrusted input; aiortc raises nearly anything
            _log.debug("dropped an RTCP packet: %r", exc)


def dtls_transports(pc: RTCPeerConnection) -> list[DtlsTransport]:
    """Turn the DTLS transports of `pc` into `DtlsTransport`s. Call before its local description is set.

    aiortc has no way to pass another class; the class is changed before the transport has been started.
    """
    found = {line.receiver.transport for line in pc.getTransceivers()}
    for transport in found:
        transport.__class__ = DtlsTransport
        transport._RTCDtlsTransport__local_certificate.__class__ = _Certificate  # type: ignore[attr-defined]
        transport._rtp_router.__class__ = _Router
    return list(found)  # type: ignore[arg-type]


def _reason(exc: SSL.Error) -> str:
    """OpenSSL's reason, such as "no shared cipher"."""
    errors = exc.args[0] if exc.args and isinstance(exc.args[0], list) else []
    return "; ".join(str(error[-1]) for error in errors) or "the client ended the handshake"
