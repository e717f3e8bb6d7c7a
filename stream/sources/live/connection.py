"""One connection to a live source: a thread that reads it until it ends, and the reason for the end.

Knows nothing about schemes: FFmpeg's options for them come from `protocols`. A call into FFmpeg may hang in spite of
its time limits, so the thread can be abandoned: it then delivers nothing more and ends when the call returns. FFmpeg's
own error messages may quote the address and its password, so they are never passed on.
"""

import errno
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast
from urllib.parse import urlsplit

import av
from av.container import InputContainer
from av.stream import Discard

from stream.address import Address
from stream.devices.capture import CaptureInput
from stream.errors import MatteboxError
from stream.fetch import certificates
from stream.picture.bt601 import assume_bt601
from stream.picture.display_matrix import Displays
from stream.picture.frames import Sound
from stream.picture.timing import plausible_rate
from stream.registry import find
from stream.settings import Settings
from stream.sources.live.connection_errors import CLOSED, explained
from stream.sources.live.paced import Paced
from stream.sources.live.playlist import PLAYLIST_NAMES, PLAYLIST_OPTIONS, Parts
from stream.sources.live.protocols import Protocol
from stream.sources.video_streams import choose, sounds, video_streams

_TIMED_OUT = 0.9  # share of a time limit that counts as all of it: FFmpeg's clock and ours differ a little
_MAX_BLIND = 4  # time limits without a decoded picture: the decoder may have to wait for a keyframe
_WITHOUT_CLOCK = ("mpjpeg", "mjpeg")  # formats for which FFmpeg invents times
_TLS_PORTS = {"rtsps": 322, "rtmps": 443, "https": 443}


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    time_s: by the source's clock, if it has one. arrived_s: by `time.monotonic`. sar: sample aspect ratio, a pixel's
    width over its height. rate: estimated pictures per second. connection: number of the connection it came by.
    """

    decoded: av.VideoFrame
    time_s: float | None
    arrived_s: float
    sar: Fraction | None
    rate: Fraction
    connection: int = 0


@dataclass(frozen=True)
class SoundPacket:
    """A packet of sound, whose stream belongs to the connection. The other fields are as in `Picture`."""

    packet: Sound
    time_s: float
    connection: int = 0


Deliver = Callable[[Picture | SoundPacket], object]
"""Called with each picture and packet of sound."""


class Connection:
    """Reads the source in its own thread after `start`.

    insecure: accept any TLS certificate. size: (width, height) to request from a device. number: passed on with what is
    delivered.
    deliver: called in that thread with each picture and packet of sound. opened: the source has answered. has_sound:
    whether it has sound; None until that is known. ended, reason: set when the thread ends; read `ended` first.
    """

    grace_s = 0.5  # a working connection ends within the time of a picture; one that hangs is abandoned

    def __init__(
        self,
        address: Address,
        protocol: Protocol,
        settings: Settings,
        deliver: Deliver,
        insecure: bool = False,
        number: int = 0,
        size: tuple[int, int] = (0, 0),
    ) -> None:
        self._address, self._protocol, self._settings, self._deliver = address, protocol, settings, deliver
        self._insecure, self._number, self._size = insecure, number, size
        self._abandoned = threading.Event()
        self._heard_s = time.monotonic()
        self._reader: Any = None  # what reads the source for FFmpeg, if not FFmpeg itself; may know why it ended
        self._pipe: Any = None  # the same, if it can be closed while it is read
        self.opened = False
        self.has_sound: bool | None = None
        self.ended = threading.Event()
        self.reason = ""

    def start(self) -> None:
        threading.Thread(target=self._run, name=self._address.scheme, daemon=True).start()

    def abandon(self) -> None:
        """Deliver nothing more, and end as soon as FFmpeg returns."""
        self._abandoned.set()
        if self._pipe is not None:
            self._pipe.close()

    @property
    def overdue(self) -> str:
        """The reason to stop waiting for the source; empty while the time limit has not passed."""
        if getattr(self._pipe, "waits_for_caller", False):
            self._heard_s = time.monotonic()
        if time.monotonic() - self._heard_s <= self._settings.rtsp_timeout_s:
            return ""
        return self._silence()

    def _silence(self) -> str:
        limit_s = self._settings.rtsp_timeout_s
        return f"the source {'sent nothing for' if self.opened else 'did not answer within'} {limit_s:g} s"

    def _run(self) -> None:
        try:
            self.reason = self._read_all()
        except Exception as exc:  # noqa: BLE001 - the owner reconnects after any error
            self.reason = self._explain(exc)
        finally:
            self.ended.set()

    def _read_all(self) -> str:
        """Open the source and read it to its end. Returns the reason for the end."""
        if self._protocol.device:
            with self._open_device() as container:
                return self._read(container)
        opener = self._protocol.opener
        target = find(opener)(self._address, self._settings) if opener else self._address.url
        if isinstance(target, str):
            with self._open_url(target) as container:
                return self._ended(self._read(container))
        with closing(target):
            self._reader = self._pipe = target
            if self._abandoned.is_set():
                return CLOSED
            with self._open(target) as container:
                return self._ended(self._read(container))

    def _open_url(self, url: str) -> InputContainer:
        """Playlists are read by `Parts`; what is none is found out by trying, without the demuxer of playlists."""
        limit_s = self._settings.rtsp_timeout_s
        timeout = (limit_s, limit_s)
        if not self._protocol.playlists:
            return self._open(url, timeout=timeout)
        if not urlsplit(url).path.endswith(PLAYLIST_NAMES):
            with suppress(av.error.InvalidDataError):
                return self._open(url, timeout=timeout)
        self._reader = Parts(self._address, self._settings, self._insecure, self._protocol.strict)
        return self._open(url, PLAYLIST_OPTIONS, timeout=timeout, io_open=self._reader)

    def _open(self, target: Any, more: Mapping[str, str] | None = None, **fields: Any) -> InputContainer:
        options = {
            **self._protocol.all_options(self._settings, self._insecure),
            "flags": "low_delay",
            "max_pixels": str(self._settings.max_pixels),
            **(more or {}),
        }
        demuxer = self._protocol.demuxer or None
        opened = av.open(target, format=demuxer, options=options, metadata_errors="replace", **fields)
        return cast(InputContainer, opened)

    def _open_device(self) -> InputContainer:
        """Open a device of this computer in the first way that it accepts."""
        *preferred, last = find(self._protocol.device)(self._address.name, self._size)
        for wanted in preferred:
            with suppress(av.error.FFmpegError):
                return self._opened(wanted)
        return self._opened(last)

    def _opened(self, wanted: CaptureInput) -> InputContainer:
        limit_s = self._settings.rtsp_timeout_s  # not `options`: decoders would assume the requested size
        limits, options = (limit_s, limit_s), wanted.options
        return av.open(wanted.url, format=wanted.format, container_options=options, timeout=limits)

    def _ended(self, reason: str) -> str:
        """The reason for an end, by what read the source if that knows more."""
        return (getattr(self._reader, "reason", "") or reason) if reason == CLOSED else reason

    def _read(self, container: InputContainer) -> str:
        self.opened, self._heard_s = True, time.monotonic()
        if not video_streams(container):  # the error of `choose` would quote the address
            return "the source sends no video"
        stream = choose(container)
        context = stream.codec_context
        if context is None:
            return "the source sends video in an unknown codec"
        sound = next(iter(sounds(container, stream)), None)
        self.has_sound = sound is not None
        used = [stream] if sound is None else [stream, sound]
        for unused in container.streams:
            if unused not in used:
                unused.discard = Discard.all  # variants of a playlist that are not used are not downloaded
        context.thread_type = "SLICE"  # frame threading delays pictures
        context.thread_count = self._settings.codec_threads()
        context.options = {"max_pixels": str(self._settings.max_pixels)}
        has_clock = container.format.name not in _WITHOUT_CLOCK
        packets: Iterable[Any] = container.demux(used)
        if self._protocol.paced and has_clock:
            packets = Paced(packets, len(used), self._abandoned)
        if self._protocol.device:
            packets = map(_copied, packets)
        return self._decode(packets, stream, has_clock)

    def _decode(self, packets: Iterable[Any], stream: av.VideoStream, has_clock: bool) -> str:
        """Deliver all pictures and sound until the connection ends. Returns the reason for the end."""
        limit_s, seen_s, decoded_s = self._settings.rtsp_timeout_s, self._heard_s, self._heard_s
        displays, rate = Displays(), plausible_rate(stream.average_rate, stream.guessed_rate)
        context = stream.codec_context
        for packet in packets:
            now_s = time.monotonic()
            if self._abandoned.is_set() or now_s - self._heard_s > _TIMED_OUT * limit_s:
                return self._silence()  # this packet is old: FFmpeg's parser held it back until the timeout
            self._heard_s = now_s
            if packet.stream is stream:
                seen_s = now_s
            if now_s - decoded_s > _MAX_BLIND * limit_s:
                return "the source's video cannot be decoded"
            if now_s - seen_s > limit_s:
                return f"the source sent no picture for {limit_s:g} s"
            if packet.stream is not stream:
                self._pass_on(packet)
                continue
            for decoded in _decoded(context, packet):
                decoded_s = now_s
                displays.apply(decoded)
                if self._protocol.device:
                    assume_bt601(decoded)
                time_s = _seconds(decoded.pts, stream.time_base) if has_clock else None
                sar = context.sample_aspect_ratio
                self._send(Picture(decoded, time_s, self._heard_s, sar, rate, self._number))
        return CLOSED

    def _pass_on(self, packet: Any) -> None:
        time_s = _seconds(packet.pts, packet.time_base)
        if packet.size and time_s is not None:
            self._send(SoundPacket(cast(Sound, packet), time_s, self._number))

    def _send(self, item: Picture | SoundPacket) -> None:
        if not self._abandoned.is_set():
            self._deliver(item)

    def _explain(self, exc: Exception) -> str:
        """The reason for an error, without FFmpeg's message, which quotes the address and its password."""
        if reason := getattr(self._reader, "reason", ""):
            return str(reason)
        refused = isinstance(exc, av.error.HTTPError | MatteboxError)
        timed_out = isinstance(exc, av.error.TimeoutError | av.error.ExitError | TimeoutError)
        silent_s = time.monotonic() - self._heard_s
        if timed_out or (not refused and silent_s > _TIMED_OUT * self._settings.rtsp_timeout_s):
            return self._silence()
        if isinstance(exc, PermissionError) and not refused and not self.opened:
            return self._protocol.forbidden
        if isinstance(exc, OSError) and exc.errno == errno.EIO and not self.opened:
            return self._unreachable()
        return explained(exc, self._address.has_user, self.opened)

    def _unreachable(self) -> str:
        """The reason why no connection was made. For TLS it tries again, because FFmpeg does not say what is wrong."""
        if self._protocol.tls and not self._insecure and not self._protocol.strict:  # the name may have another address
            parts = urlsplit(self._address.url)
            port = parts.port or _TLS_PORTS.get(self._address.scheme, 443)
            limit_s = self._settings.rtsp_timeout_s
            if problem := certificates.problem(parts.hostname or "", port, self._settings, limit_s):
                return f"its certificate is not trusted ({problem})"
        return "the host is unknown or cannot be reached"


def _seconds(ticks: int | None, time_base: Fraction | None) -> float | None:
    return None if ticks is None or time_base is None else float(ticks * time_base)


def _copied(packet: Any) -> Any:
    """A packet with memory of its own. Those of V4L2 are in memory of the device, which is gone when it is closed; raw
    pictures refer to it, and freeing a packet later would crash."""
    copy: Any = av.Packet(bytes(packet))
    copy.pts, copy.dts, copy.time_base, copy.stream = packet.pts, packet.dts, packet.time_base, packet.stream
    return copy


def _decoded(context: Any, packet: Any) -> list[av.VideoFrame]:
    """Decode a packet; no pictures while the decoder waits for a keyframe, or after an error."""
    try:
        return list(context.decode(packet))
    except av.error.FFmpegError:
        return []
