"""One WebRTC connection: offer and answer, video and audio in both directions, and the release of all its resources.

Runs on the event loop. Has its own deadlines: aiortc waits a minute for a client that never connects and half a
minute for a client that is gone. Knows nothing about where offers come from.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpTransceiver, RTCSessionDescription

from stream.errors import SdpError
from stream.loops import Loops, start
from stream.records.live import BAD_SDP, BYE, CANCELLED, CONNECT_TIMEOUT, DTLS_FAILED, MEDIA_TIMEOUT, UDP_ADVICE
from stream.rtc import ice, sdp
from stream.rtc.aiortc_overrides import Encoded, divert, listen_to_reports, request_keyframe
from stream.rtc.capture import CaptureClock
from stream.rtc.dtls_overrides import DtlsTransport, dtls_transports
from stream.rtc.h264_levels import max_blocks
from stream.rtc.sink import LiveOutput
from stream.rtc.sound import FollowedDelay
from stream.rtc.source import WebRtcSource
from stream.rtc.tracks import SoundTrack, VideoTrack
from stream.settings import Settings

_log = logging.getLogger(__name__)
_CHECK_INTERVAL_S = 0.25
_PREFERRED = ("H264",)  # supports BT.709, and has better quality than VP8 at the same bit rate and cost
_TYPICAL = (1280, 720)  # the size that is assumed before the first frame
_CLOSE_S = 3.0
_SETTLE_S = 0.03  # aioice's connect loop notices within 20 ms that it is closed


class Peer:
    """One connection, for one offer.

    source: the incoming video, once `answer` has returned; None if none was offered. reason: why it is closing or
    closed; empty before. on_change: called with ("connected", "") once and with ("closed", reason) once; reason is
    CONNECT_TIMEOUT (ICE found no way to the client), DTLS_FAILED (the DTLS handshake failed), MEDIA_TIMEOUT (silent for
    too long), BYE (the client hung up) or the argument of `close`. on_sound: called with each incoming audio packet,
    whose `arrived_s` is that of a picture of the same moment.
    """

    def __init__(self, settings: Settings, on_change: Callable[[str, str], None] | None = None) -> None:
        self.source: WebRtcSource | None = None
        self.on_change = on_change or (lambda state, reason: None)
        self.on_sound: Callable[[Encoded], None] | None = None
        self.state, self.reason = "new", ""
        self._settings = settings
        self._clock, self._skew = CaptureClock(), FollowedDelay()
        self._pc: RTCPeerConnection | None = None
        self._offer: sdp.ParsedOffer | None = None
        self._connect_by_s = 0.0
        self._candidates = 0
        self._connections: list[ice.Connection] = []
        self._transports: list[DtlsTransport] = []
        self._user, self._stacked = "", False
        self._output: LiveOutput | None = None
        self._tracks: list[VideoTrack | SoundTrack] = []
        self._watchdog: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def answer(
        self,
        offer_sdp: str,
        outgoing: LiveOutput | None = None,
        incoming: bool = True,
        user: str = "worker",
        stacked: bool = False,
    ) -> str:
        """Return the answer to an offer. From then on the client has `connect_timeout_s` to connect.

        outgoing: the media sent to the client. incoming: whether the client sends its camera; its audio then goes to
        `on_sound`, by default `outgoing.play`. user: the name in our own TURN credential and in logs. stacked: send
        colour above alpha, instead of the published view. Raises SdpError, with everything released.
        """
        self._user, self._stacked = user, stacked
        try:
            directions = sdp.MediaDirections(video_in=incoming, video_out=outgoing is not None)
            offer = sdp.read_offer(
                offer_sdp,
                directions,
                await ice.candidate_policy(self._settings),
                self._codecs_in_use(outgoing) or _PREFERRED,
            )
            self._offer = offer
            return await asyncio.wait_for(self._negotiate(offer, outgoing), self._settings.connect_timeout_s)
        except SdpError:
            await self._abandon(BAD_SDP)
            raise
        except Exception as exc:  # aiortc raises arbitrary exceptions on offers it cannot use
            _log.info("the offer was refused: %r", exc)
            await self._abandon(BAD_SDP)
            raise SdpError("the offer cannot be answered") from exc
        except BaseException:
            await self._abandon(CANCELLED)
            raise

    async def _negotiate(self, offer: sdp.ParsedOffer, outgoing: LiveOutput | None) -> str:
        servers = ice.aiortc_servers(self._settings, self._user)
        pc = self._pc = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        pc.on("connectionstatechange", self._connection_state_changed)
        await pc.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
        self._connections, self._transports = ice.connections(pc, self._settings), dtls_transports(pc)
        lines = {t.kind: t for t in pc.getTransceivers()}
        self._receive(lines, offer, outgoing)
        self._send(lines, offer, outgoing)
        await pc.setLocalDescription()
        if self._closing is not None:
            raise SdpError("the connection was closed before it was answered")
        self._connect_by_s = time.monotonic() + self._settings.connect_timeout_s
        watching = Loops(_log, "checking again").repeat(self._check_deadlines, _CHECK_INTERVAL_S)
        self._watchdog = start(watching, _log)
        text = pc.localDescription.sdp
        self._attach(lines, text)
        if self._stacked and outgoing is not None:
            width, height = outgoing.size if outgoing.size[0] else _TYPICAL
            offer = sdp.with_level_for(offer, width, 2 * height)
        return sdp.finish_answer(offer, text, self._settings.max_bitrate)

    def _codecs_in_use(self, outgoing: LiveOutput | None) -> set[str]:
        if outgoing is None:
            return set()
        return outgoing.stacked_codecs if self._stacked else outgoing.codecs

    def _receive(
        self, lines: dict[str, RTCRtpTransceiver], offer: sdp.ParsedOffer, outgoing: LiveOutput | None
    ) -> None:
        if offer.video_in:
            receiver = lines["video"].receiver
            self.source = WebRtcSource(self._settings, lambda: request_keyframe(receiver))
            divert(receiver, self._picture_received)
            listen_to_reports(receiver, self._clock.video.reported)
        if offer.sound_in:
            if self.on_sound is None and outgoing is not None:
                self.on_sound = outgoing.play
            divert(lines["audio"].receiver, self._sound_received)
            listen_to_reports(lines["audio"].receiver, self._clock.audio.reported)

    def _picture_received(self, picture: Encoded | None) -> None:
        assert self.source is not None
        if picture is not None:
            self._clock.video.arrived(picture.pts, picture.arrived_s)
        self.source.take(picture)

    def _sound_received(self, sound: Encoded | None) -> None:
        if sound is not None and self.on_sound is not None:
            self._clock.audio.arrived(sound.pts, sound.arrived_s)
            skew_s = self._skew.follow(self._clock.skew_s, sound.arrived_s)
            self.on_sound(replace(sound, arrived_s=sound.arrived_s + skew_s))

    def _send(self, lines: dict[str, RTCRtpTransceiver], offer: sdp.ParsedOffer, outgoing: LiveOutput | None) -> None:
        assert self._pc is not None
        self._output = outgoing
        if outgoing is not None and offer.video_out:
            self._tracks.append(outgoing.video_track(self._stacked))
        if outgoing is not None and offer.sound_out:
            self._tracks.append(outgoing.sound_track())
        for track in self._tracks:
            self._pc.addTrack(track)
        for kind, receives in (("video", offer.video_in), ("audio", offer.sound_in)):
            if kind in lines and not receives:
                lines[kind].direction = "sendonly" if any(t.kind == kind for t in self._tracks) else "inactive"

    def _attach(self, lines: dict[str, RTCRtpTransceiver], answer: str) -> None:
        for track in self._tracks:
            if self._output is not None:
                codec = sdp.first_codec(answer, track.kind)
                limit = self._largest_stack(answer) if self._stacked else 0
                self._output.attach(lines[track.kind].sender, track, codec, limit)

    def _largest_stack(self, answer: str) -> int:
        """The size in macroblocks that the client's level of H.264 allows; 0: any."""
        assert self._offer is not None
        payload = sdp.first_payload(answer, "video")
        limit = max_blocks(self._offer.h264[payload]) if payload in self._offer.h264 else 0
        if limit:
            _log.info(
                "session %s: its level of H.264 allows %d macroblocks; larger stacks are scaled down", self._user, limit
            )
        return limit

    async def add_candidates(self, fragment: str) -> None:
        """Add candidates of the client (trickle ICE, RFC 8840). Raises SdpError; those added before it stay."""
        if self._pc is None or self._offer is None:
            raise SdpError("the connection has no offer yet")
        allowed = await ice.candidate_policy(self._settings)
        for candidate in sdp.read_fragment(fragment, self._offer, allowed):
            self._candidates += 1
            if self._candidates > sdp.MAX_CANDIDATES:
                raise SdpError(f"more than {sdp.MAX_CANDIDATES} candidates; the rest is ignored")
            await self._pc.addIceCandidate(candidate)

    def _connection_state_changed(self) -> None:
        assert self._pc is not None
        state = self._pc.connectionState
        if state == "connected" and self.state == "new":
            self.state = state
            if self.source is not None:
                self.source.received_s = time.monotonic()
            self.on_change("connected", "")
        elif state == "failed" and self.state == "new":
            self._give_up()
        elif state == "failed":
            self._start_closing(MEDIA_TIMEOUT)
        elif state == "closed":
            self._start_closing(BYE)

    async def _check_deadlines(self) -> None:
        if self.state == "connected" and self._silent_s() > self._settings.media_timeout_s:
            self._start_closing(MEDIA_TIMEOUT)
        elif self.state == "new" and time.monotonic() > self._connect_by_s:
            self._give_up()

    def _give_up(self) -> None:
        """Close a connection that was never established, and log why it was not."""
        if self._closing is not None:
            return
        unencrypted = [t for t in self._transports if t.transport.state == "completed" and t.state != "connected"]
        reason = DTLS_FAILED if unencrypted else CONNECT_TIMEOUT
        cause = _handshake_failure(unencrypted) if unencrypted else self._path_failure()
        _log.warning("session %s: %s", self._user, cause)
        self._start_closing(reason)

    def _path_failure(self) -> str:
        checks = sum(connection.checks for connection in self._connections)
        heard = f"{checks} of its checks arrived, but ours were not answered" if checks else "nothing arrived from it"
        return f"no connection to the client: {heard}; {UDP_ADVICE}"

    def _silent_s(self) -> float:
        """Seconds since the last frame of a client that sends video, else since the last packet of any kind."""
        last_s = self.source.received_s if self.source else max((c.received_s for c in self._connections), default=0.0)
        return time.monotonic() - last_s

    def _start_closing(self, reason: str) -> None:
        if self._closing is None:
            self.reason = reason
            self._closing = start(self._shut_down(reason), _log)

    async def close(self, reason: str) -> None:
        """Close the connection. Returns when all resources are released. Idempotent."""
        self._start_closing(reason)
        assert self._closing is not None
        await asyncio.shield(self._closing)

    async def _abandon(self, reason: str) -> None:
        await self.close(reason)
        self._detach()  # again, because negotiation may have gone on while it was being closed
        if self._pc is not None:
            await close_connection(self._pc)

    def _detach(self) -> None:
        for track in self._tracks:
            if self._output is not None:
                self._output.detach(track)

    async def _shut_down(self, reason: str) -> None:
        self.state = "closed"
        if self._watchdog is not None:
            self._watchdog.cancel()
        try:
            if self.source is not None:
                self.source.close()
            self._detach()
            if self._pc is not None:
                await close_connection(self._pc)
        finally:  # a video that is not reported as closed would keep its place in the worker
            self.on_change("closed", reason)


def _handshake_failure(transports: list[DtlsTransport]) -> str:
    failure = next((t.failure for t in transports if t.failure), "the client did not complete it in time")
    return f"the DTLS handshake failed: {failure}"


async def close_connection(pc: RTCPeerConnection) -> None:
    """aiortc's close, in bounded time; then stop the transceivers again, some may have started meanwhile."""
    closing = start(pc.close(), _log)
    await asyncio.wait([closing], timeout=_CLOSE_S)
    if not closing.done():
        _log.warning("a connection takes more than %g s to close", _CLOSE_S)
    await asyncio.sleep(_SETTLE_S)
    for line in pc.getTransceivers():
        with contextlib.suppress(Exception):
            await asyncio.wait_for(line.stop(), _CLOSE_S)
