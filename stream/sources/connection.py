"""One connection to a network source: a thread that reads and decodes it until it ends, and the reason for the end.

Knows nothing about protocols: FFmpeg's options for them come from the source. A call into FFmpeg may hang in spite of
its time limits, so the thread can be abandoned: it then delivers nothing more and ends when the call returns. FFmpeg's
own error messages may quote the address and its password, so they are never passed on.
"""

import errno
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer

from stream.address import Address
from stream.picture.display_matrix import Displays
from stream.picture.timing import plausible_rate
from stream.settings import Settings
from stream.sources.video_streams import choose

_REFUSALS: dict[type[Exception], str] = {
    av.error.HTTPBadRequestError: "bad request (400)",
    av.error.HTTPUnauthorizedError: "wrong user or password (401)",
    av.error.HTTPForbiddenError: "access forbidden (403)",
    av.error.HTTPNotFoundError: "not found (404)",
    av.error.HTTPTooManyRequestsError: "too many requests (429)",
    av.error.HTTPOtherClientError: "the source refused the request (4xx)",
    av.error.HTTPServerError: "the source has an internal error (5xx)",
}
_NO_CREDENTIALS = "a user and a password are required (401)"
_CLOSED = "the source closed the connection"
_TIMED_OUT = 0.9  # share of a time limit that counts as all of it: FFmpeg's clock and ours differ a little
_MAX_BLIND = 4  # time limits without a decoded picture: the decoder may have to wait for a keyframe


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    time_s: by the source's clock, if it has one. arrived_s: by `time.monotonic`. sar: sample aspect ratio, a pixel's
    width over its height. rate: estimated pictures per second.
    """

    decoded: av.VideoFrame
    time_s: float | None
    arrived_s: float
    sar: Fraction | None
    rate: Fraction


class Connection:
    """Reads the source in its own thread after `start`.

    protocol: FFmpeg's options for the scheme of the address, including `protocol_whitelist`.
    deliver: called in that thread with each picture. opened: the source has answered. ended, reason: set when the
    thread ends; read `ended` first.
    """

    def __init__(
        self, address: Address, protocol: Mapping[str, str], settings: Settings, deliver: Callable[[Picture], object]
    ) -> None:
        self._address, self._protocol, self._settings, self._deliver = address, protocol, settings, deliver
        self._abandoned = False
        self._heard_s = time.monotonic()
        self.opened = False
        self.ended = threading.Event()
        self.reason = ""

    def start(self) -> None:
        threading.Thread(target=self._run, name=self._address.scheme, daemon=True).start()

    def abandon(self) -> None:
        """Deliver nothing more, and end as soon as FFmpeg returns."""
        self._abandoned = True

    @property
    def overdue(self) -> str:
        """The reason to stop waiting for the source; empty while the time limit has not passed."""
        if time.monotonic() - self._heard_s <= self._settings.rtsp_timeout_s:
            return ""
        return self._silence()

    def _silence(self) -> str:
        limit_s = self._settings.rtsp_timeout_s
        return f"the source {'sent nothing for' if self.opened else 'did not answer within'} {limit_s:g} s"

    def _run(self) -> None:
        try:
            with self._open() as container:
                self.reason = self._read(container)
        except Exception as exc:  # noqa: BLE001 - the owner reconnects after any error
            self.reason = self._explain(exc)
        finally:
            self.ended.set()

    def _open(self) -> InputContainer:
        limit_s = self._settings.rtsp_timeout_s
        options = {
            **self._protocol,
            "fflags": "nobuffer",
            "flags": "low_delay",
            "probesize": "32768",  # with the defaults the first picture is a second old when it is delivered
            "analyzeduration": "100000",
            "max_pixels": str(self._settings.max_pixels),
        }
        return av.open(self._address.url, options=options, timeout=(limit_s, limit_s), metadata_errors="replace")

    def _read(self, container: InputContainer) -> str:
        self.opened, self._heard_s = True, time.monotonic()
        if not container.streams.video:
            return "the source sends no video"
        stream = choose(container)
        context = stream.codec_context
        if context is None:
            return "the source sends video in an unknown codec"
        context.thread_type = "SLICE"  # frame threading delays pictures
        context.thread_count = self._settings.codec_threads()
        context.options = {"max_pixels": str(self._settings.max_pixels)}
        return self._decode(container, stream, context)

    def _decode(self, container: InputContainer, stream: av.VideoStream, context: Any) -> str:
        """Deliver all pictures until the connection ends. Returns the reason for the end."""
        limit_s, decoded_s, displays = self._settings.rtsp_timeout_s, self._heard_s, Displays()
        rate = plausible_rate(stream.average_rate, stream.guessed_rate)
        for packet in container.demux(stream):
            now_s = time.monotonic()
            if self._abandoned or now_s - self._heard_s > _TIMED_OUT * limit_s:
                return self._silence()  # this packet is old: FFmpeg's parser held it back until the timeout
            self._heard_s = now_s
            if now_s - decoded_s > _MAX_BLIND * limit_s:
                return "the source's video cannot be decoded"
            for decoded in _decoded(context, packet):
                decoded_s = now_s
                displays.apply(decoded)
                self._picture(decoded, stream.time_base, context.sample_aspect_ratio, rate)
        return _CLOSED

    def _picture(
        self, decoded: av.VideoFrame, time_base: Fraction | None, sar: Fraction | None, rate: Fraction
    ) -> None:
        if not self._abandoned:
            known = decoded.pts is not None and time_base is not None
            time_s = float(decoded.pts * time_base) if known else None  # type: ignore[operator]
            self._deliver(Picture(decoded, time_s, self._heard_s, sar, rate))

    def _explain(self, exc: Exception) -> str:
        """The reason for an error, without FFmpeg's message, which quotes the address and its password."""
        if isinstance(exc, av.error.HTTPUnauthorizedError) and not self._address.has_user:
            return _NO_CREDENTIALS
        if refusal := _REFUSALS.get(type(exc)):
            return refusal
        silent_s = time.monotonic() - self._heard_s
        timed_out = isinstance(exc, av.error.TimeoutError | av.error.ExitError | TimeoutError)
        if timed_out or silent_s > _TIMED_OUT * self._settings.rtsp_timeout_s:
            return self._silence()
        if isinstance(exc, av.error.InvalidDataError):
            return "the source sends invalid data" if self.opened else "the source did not answer with a video stream"
        if isinstance(exc, av.error.EOFError):
            return _CLOSED
        if isinstance(exc, OSError) and exc.errno == errno.EIO and not self.opened:
            return "the host is unknown or cannot be reached"
        if isinstance(exc, OSError) and exc.errno != errno.EINVAL:  # of the system, such as "connection refused"
            return str(exc.strerror or type(exc).__name__).lower()
        return "the source's answer cannot be read"


def _decoded(context: Any, packet: Any) -> list[av.VideoFrame]:
    """Decode a packet; no pictures while the decoder waits for a keyframe, or after an error."""
    try:
        return list(context.decode(packet))
    except av.error.FFmpegError:
        return []
