"""One attempt to read a network source: a thread that reads it until it ends, and why it ended.

Knows nothing about single protocols: what FFmpeg is told about one comes from the source. A call into FFmpeg may hang
in spite of its time limits, so the thread can be abandoned: it then hands on nothing more and ends when the call does.
FFmpeg's own error messages may quote the address and its password, so they are never passed on.
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
from stream.picture.timing import plausible_rate
from stream.settings import Settings

_REFUSALS: dict[type[Exception], str] = {
    av.error.HTTPBadRequestError: "it does not understand the request (400)",
    av.error.HTTPUnauthorizedError: "wrong user or password (401)",
    av.error.HTTPForbiddenError: "access is forbidden (403)",
    av.error.HTTPNotFoundError: "not found (404)",
    av.error.HTTPTooManyRequestsError: "too many ask it (429)",
    av.error.HTTPOtherClientError: "it refuses the request (4xx)",
    av.error.HTTPServerError: "it has a fault of its own (5xx)",
}
_UNNAMED = "it asks for a user and a password (401)"
_NO_VIDEO = "it sends no video"
_ALL_OF = 0.9  # of a time limit: FFmpeg's clock and ours differ a little
_BLIND = 4  # a decoder waits for a picture that stands alone; so many time limits at most


@dataclass(frozen=True)
class Picture:
    """A decoded picture: its time by the source's clock, if it has one, and when it came (`time.monotonic`).

    sar: width of a pixel over its height. rate: pictures a second, a guess.
    """

    decoded: av.VideoFrame
    time_s: float | None
    arrived_s: float
    sar: Fraction | None
    rate: Fraction


class Connection:
    """Reads the source in a thread of its own from `start` on.

    protocol: FFmpeg's options for the address's scheme, `protocol_whitelist` among them.
    take: called in that thread with each picture. ended, reason: set when the thread is done; read `ended` first.
    """

    def __init__(
        self, address: Address, protocol: Mapping[str, str], settings: Settings, take: Callable[[Picture], object]
    ) -> None:
        self._address, self._protocol, self._settings, self._take = address, protocol, settings, take
        self._abandoned = False
        self._heard_s = time.monotonic()
        self.opened = False
        self.ended = threading.Event()
        self.reason = ""

    def start(self) -> None:
        threading.Thread(target=self._run, name=self._address.scheme, daemon=True).start()

    def abandon(self) -> None:
        """Hand on nothing more, and end as soon as FFmpeg lets go."""
        self._abandoned = True

    @property
    def overdue(self) -> str:
        """Why there is no use in waiting any longer; empty while there is."""
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
        except Exception as exc:  # noqa: BLE001 - whatever it was: the owner tries again
            self.reason = self._words(exc)
        finally:
            self.ended.set()

    def _open(self) -> InputContainer:
        limit_s = self._settings.rtsp_timeout_s
        options = {
            **self._protocol,
            "fflags": "nobuffer",
            "flags": "low_delay",
            "probesize": "32768",  # with the defaults the first picture is a second old when it is handed on
            "analyzeduration": "100000",
            "max_pixels": str(self._settings.max_pixels),
        }
        return av.open(self._address.url, options=options, timeout=(limit_s, limit_s), metadata_errors="replace")

    def _read(self, container: InputContainer) -> str:
        self.opened, self._heard_s = True, time.monotonic()
        if not container.streams.video:
            return _NO_VIDEO
        stream = container.streams.video[0]
        context = stream.codec_context
        if context is None:
            return "it sends video of an unknown codec"
        context.thread_type = "SLICE"  # threads by frame hold pictures back
        context.thread_count = self._settings.codec_threads()
        context.options = {"max_pixels": str(self._settings.max_pixels)}
        return self._pictures(container, stream, context)

    def _pictures(self, container: InputContainer, stream: av.VideoStream, context: Any) -> str:
        """Hand on all that comes; gives the reason of the end."""
        limit_s, seen_s = self._settings.rtsp_timeout_s, self._heard_s
        rate = plausible_rate(stream.average_rate, stream.guessed_rate)
        for packet in container.demux(stream):
            now_s = time.monotonic()
            if self._abandoned or now_s - self._heard_s > _ALL_OF * limit_s:
                return self._silence()  # what comes now lay in FFmpeg's parser all that time
            self._heard_s = now_s
            if now_s - seen_s > _BLIND * limit_s:
                return "no picture can be made of what it sends"
            for decoded in _decoded(context, packet):
                seen_s = now_s
                self._hand_on(decoded, stream.time_base, context.sample_aspect_ratio, rate)
        return "the source ended the connection"

    def _hand_on(
        self, decoded: av.VideoFrame, time_base: Fraction | None, sar: Fraction | None, rate: Fraction
    ) -> None:
        if not self._abandoned:
            known = decoded.pts is not None and time_base is not None
            time_s = float(decoded.pts * time_base) if known else None  # type: ignore[operator]
            self._take(Picture(decoded, time_s, self._heard_s, sar, rate))

    def _words(self, exc: Exception) -> str:
        """Why, in words of our own: FFmpeg's errors quote the address they were given, password and all."""
        if isinstance(exc, av.error.HTTPUnauthorizedError) and not self._address.has_user:
            return _UNNAMED
        if refusal := _REFUSALS.get(type(exc)):
            return refusal
        silent_s = time.monotonic() - self._heard_s
        timed_out = isinstance(exc, av.error.TimeoutError | av.error.ExitError | TimeoutError)
        if timed_out or silent_s > _ALL_OF * self._settings.rtsp_timeout_s:
            return self._silence()
        if isinstance(exc, av.error.InvalidDataError):
            return "what it answers is no video" if not self.opened else "what it sends cannot be read"
        if isinstance(exc, av.error.EOFError):
            return "the source ended the connection"
        if isinstance(exc, OSError) and exc.errno == errno.EIO and not self.opened:
            return "its name is not known, or it cannot be reached"
        return str(getattr(exc, "strerror", "") or type(exc).__name__).lower()


def _decoded(context: Any, packet: Any) -> list[av.VideoFrame]:
    """What comes out of the decoder; nothing while it waits for a picture that stands alone, or cannot go on."""
    try:
        return list(context.decode(packet))
    except av.error.FFmpegError:
        return []
