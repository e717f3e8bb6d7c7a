"""The encodes of one live video: each is made once and shared by all outputs of equal settings."""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from stream.errors import EncodeError
from stream.log import OncePerSecond
from stream.picture.frames import Frame, Sound, VideoInfo
from stream.pump import Item
from stream.settings import Settings
from stream.sinks.live.header import combined
from stream.sinks.live.packets import Packet, Tracks
from stream.sinks.live.protocols import OutputProtocol, is_playlist
from stream.sinks.live.ring import FrameRing
from stream.sinks.live.sound import CopiedSound, EncodedSound, SoundEncode, is_copied
from stream.sinks.live.spec import OutputSpec
from stream.sinks.live.video import KEY_INTERVAL_S, VideoEncoder, VideoKey, default_bitrate

_POLL_S = 0.5
_log = OncePerSecond(logging.getLogger(__name__))
Put = Callable[[Packet], None]


class VideoGroup:
    """One encoder in a thread of its own, and the outputs that get its packets. It runs while it has outputs.

    dropped: frames that came faster than they could be encoded.
    """

    def __init__(self, key: VideoKey, info: VideoInfo, settings: Settings) -> None:
        self._parameters = key, info, settings
        self.encoder = VideoEncoder(key, info, settings)
        self.outputs: tuple[Put, ...] = ()
        self._inbox = FrameRing()
        self._limits: dict[object, int] = {}
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"encode {key.width}x{key.height}", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        return self._inbox.dropped

    def write(self, frame: Frame) -> None:
        self._inbox.put(frame)

    def limit(self, owner: object, bps: int | None) -> None:
        """Limit the bits per second for an output; None: no longer. The lowest limit counts."""
        with self._lock:
            self._limits.pop(owner, None)
            if bps is not None:
                self._limits[owner] = bps
            self.encoder.wanted_bps = min([self.encoder.key.bitrate, *self._limits.values()])

    def close(self) -> None:
        """Encode what waits, and end."""
        self._inbox.close()
        self._thread.join()

    def _run(self) -> None:
        while not self._inbox.finished:
            item = self._inbox.take(_POLL_S)
            if isinstance(item, Frame):
                self._encode(item)

    def _encode(self, frame: Frame) -> None:
        try:
            packets = self.encoder.encode(frame)
        except Exception as exc:  # noqa: BLE001 - the outputs must go on
            _log.warning("the encoder is opened again: %r", exc)
            with suppress(EncodeError):
                self.encoder = VideoEncoder(*self._parameters)
            return
        for packet in packets:
            for put in self.outputs:
                put(packet)


class SoundGroup:
    """One way of sending the sound, and the outputs that get its packets."""

    def __init__(self, encode: SoundEncode) -> None:
        self.encode = encode
        self.outputs: tuple[Put, ...] = ()

    def write(self, packet: Sound) -> None:
        try:
            packets = self.encode.encode(packet)
        except Exception as exc:  # noqa: BLE001 - the picture must go on
            _log.warning("a packet of sound was left out: %r", exc)
            return
        for encoded in packets:
            for put in self.outputs:
                put(encoded)


class Subscription:
    """An output's share in the encodes. tracks: what its packets are. Every packet is put until `leave`."""

    def __init__(self, encodes: "Encodes", video: VideoGroup, sound: SoundGroup | None, put: Put) -> None:
        self._encodes, self._video, self._sound, self._put = encodes, video, sound, put
        self._dropped_before = video.dropped
        headers = [video.encoder.header] + ([sound.encode.header] if sound else [])
        self.tracks = Tracks(video.encoder.track, sound.encode.track if sound else None, combined(headers))

    def request_key(self) -> None:
        self._video.encoder.request_key()

    def limit(self, bps: int) -> None:
        self._video.limit(self, bps)

    @property
    def dropped(self) -> int:
        """Frames dropped since the subscription because encoding was too slow."""
        return self._video.dropped - self._dropped_before

    def leave(self) -> None:
        self._video.limit(self, None)
        self._encodes.leave(self._video, self._sound, self._put)


class Encodes:
    """All encodes of one video. info: of the frames. Thread-safe."""

    def __init__(self, info: VideoInfo, settings: Settings) -> None:
        self.info, self._settings = info, settings
        self._lock = threading.Lock()
        self._video: dict[VideoKey, VideoGroup] = {}
        self._sound: dict[str, SoundGroup] = {}

    def write(self, item: Item) -> None:
        """Pass an item on to the encoders. Frames are only queued."""
        with self._lock:
            video, sound = list(self._video.values()), list(self._sound.values())
        if isinstance(item, Frame):
            for group in video:
                group.write(item)
        elif self.info.sound and item.stream.index == self.info.sound[0].index:
            for track in sound:
                track.write(item)

    def join(self, spec: OutputSpec, protocol: OutputProtocol, put: Put) -> Subscription:
        """Subscribe an output to its encodes, which are started if it is their first. Raises EncodeError."""
        with self._lock:
            key = video_key(spec, protocol, self.info)
            if key not in self._video:
                self._video[key] = VideoGroup(key, self.info, self._settings)
            video, sound = self._video[key], self._sound_group(spec, protocol)
            subscription = Subscription(self, video, sound, put)
            video.outputs += (put,)
            if sound is not None:
                sound.outputs += (put,)
            return subscription

    def leave(self, video: VideoGroup, sound: SoundGroup | None, put: Put) -> None:
        """The opposite of `join`. Encodes without outputs end."""
        with self._lock:
            for group in (video, sound):
                if group is not None:
                    group.outputs = tuple(other for other in group.outputs if other != put)
            ended = [key for key, group in self._video.items() if not group.outputs]
            groups = [self._video.pop(key) for key in ended]
            self._sound = {name: group for name, group in self._sound.items() if group.outputs}
        for group in groups:
            group.close()

    def close(self) -> None:
        """Encode what waits."""
        with self._lock:
            groups = list(self._video.values())
        for group in groups:
            group.close()

    def _sound_group(self, spec: OutputSpec, protocol: OutputProtocol) -> SoundGroup | None:
        if spec.audio == "off" or not self.info.sound:
            return None
        source = self.info.sound[0]
        name = "copy" if is_copied(source, protocol.sound) else protocol.sound_codec
        if name not in self._sound:
            encode = CopiedSound(source) if name == "copy" else EncodedSound(source, name)
            self._sound[name] = SoundGroup(encode)
        return self._sound[name]


def video_key(spec: OutputSpec, protocol: OutputProtocol, info: VideoInfo) -> VideoKey:
    """The encode that an output needs."""
    rate = min(float(info.rate), spec.rate or 1000.0)
    bitrate = spec.bitrate or default_bitrate(info.width, info.height, rate)
    key_interval_s = min(KEY_INTERVAL_S, spec.segment_s) if is_playlist(spec.address) else KEY_INTERVAL_S
    return VideoKey(
        info.width, info.height, bitrate, spec.rate, protocol.colours, protocol.baseline, key_interval_s=key_interval_s
    )
