"""An audio track that is decoded and encoded again, in one format and without overlaps."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av.container import OutputContainer

from stream.picture.frames import Sound
from stream.pump import Warnings
from stream.sinks.parts.drift import Drift
from stream.sinks.parts.sound_format import encoder_format, is_converted, is_unknown, layout_name, loses_channels

_BIT_RATE_PER_CHANNEL_BPS = 96_000
_SLACK_S = (0.03, 0.06)  # limits of the slack, which is the length of a packet: smaller differences are jitter
_MAX_SILENCE_S = 60
_USUAL_OVERLAP_S = 0.05  # at each seam: the last sound packet of a recording ends later than its last frame
_STEADY_FRAMES = 3  # a shorter run in another format may be a damaged frame
_MOST_MAPPED = 8  # channels; swresample cannot map more if their layout is unknown


class EncodedTrack:
    """Encodes the sound of `source` with `codec`, in the format of the encoder nearest to that of the start.

    Samples follow each other without overlap and follow the input's times to within a packet (30 to 60 ms): sound that
    overlaps earlier sound is cut off, and gaps of up to a minute are filled with silence.
    """

    def __init__(
        self,
        container: OutputContainer,
        source: av.AudioStream,
        codec: str,
        name: str,
        other_codec: Callable[[Sound], str],
    ) -> None:
        """codec: name of FFmpeg's encoder. name: of the track, for warnings. other_codec: see `VideoInfo`."""
        self._container, self._name = container, name
        context = self._own_decoder = self._decoder = source.codec_context
        self._other_codec, self._codec = other_codec, ""
        sample_bytes = context.format.bytes if context.format else 2  # some are known only after decoding
        self._format = encoder_format(codec, context.sample_rate, context.layout, sample_bytes)
        self.stream = cast(av.AudioStream, container.add_stream(codec, rate=self._format.rate))
        self.stream.codec_context.layout = av.AudioLayout(self._format.layout)
        if codec == "flac":
            self.stream.codec_context.format = av.AudioFormat(self._format.samples)
        else:
            self.stream.codec_context.bit_rate = _BIT_RATE_PER_CHANNEL_BPS * self._format.channels
        self._input: tuple[str, str, int] | None = None
        self._next: int | None = None
        self._slack = 0
        self._drift = Drift()
        self._steady: tuple[str, int] | None = None
        self._run = self._packets = self._damaged = self._overlap = 0
        self._changes = False
        self._from = f"{context.codec.canonical_name}, {_described(context.sample_rate, layout_name(context.layout))}"
        self._to = f"{codec.removeprefix('lib')}, {_described(self._format.rate, self._format.layout)}"
        self._mixed = loses_channels(context.layout, self._format.layout)
        self._converted = is_converted(self._format, context)

    def write(self, packet: Sound) -> None:
        """Decode and encode a packet. One that cannot be decoded becomes silence."""
        self._packets += 1
        self._change_codec(self._other_codec(packet))
        try:
            frames = self._decoder.decode(packet)
        except av.error.FFmpegError:
            self._damaged += 1
            return
        for frame in frames:
            self._convert(frame)

    def _change_codec(self, codec: str) -> None:
        """Switch to the decoder of this name; "": the stream's own."""
        if codec == self._codec:
            return
        self._drain()
        self._codec, self._decoder = codec, self._own_decoder
        if codec:
            self._decoder = cast(av.AudioCodecContext, av.AudioCodecContext.create(codec, "r"))
        else:
            self._decoder.flush_buffers()

    def _drain(self) -> None:
        try:
            rest = self._decoder.decode(None)
        except av.error.FFmpegError:
            rest = []
        for frame in rest:
            self._convert(frame)

    def close(self) -> None:
        self._drain()
        self._flush()
        self._container.mux(self.stream.encode(None))

    @property
    def empty(self) -> bool:
        """Whether no packet was written."""
        return self._packets == 0

    @property
    def warnings(self) -> Warnings:
        """What was changed or lost; complete after `close`."""
        if self._packets and self._damaged == self._packets:
            return [("damaged_sound", f"nothing of {self._name} could be decoded; it is silent")]
        found: Warnings = []
        mixed = "; its channels were mixed down" if self._mixed else ""
        if self._changes:
            found.append(("sound_changes", f"{self._name} changes its format; all of it is now {self._to}{mixed}"))
        elif self._converted or self._mixed:
            found.append(("sound_converted", f"{self._name} was converted from {self._from} to {self._to}{mixed}"))
        if self._damaged:
            count = f"{self._damaged} of {self._packets} packets of {self._name}"
            found.append(("damaged_sound", f"{count} were damaged and are silent"))
        return found + overlap_warnings(self._overlap / self._format.rate, self._name)

    def _convert(self, frame: Any) -> None:
        """Bring a decoded frame to the encoder's format; the format of the input may change at any frame."""
        found = (frame.format.name, frame.layout.name, frame.sample_rate)
        if found != self._input:
            self._flush()
            self._input, self._run = found, 0
            self._resampler = av.AudioResampler(self._format.samples, self._format.layout, self._format.rate)
        self._run += 1
        self._slack = round(min(max(frame.samples / frame.sample_rate, _SLACK_S[0]), _SLACK_S[1]) * self._format.rate)
        if self._run == _STEADY_FRAMES:
            self._changes |= self._steady not in (None, found[1:])
            self._mixed |= loses_channels(frame.layout, self._format.layout)
            self._steady = found[1:]
        try:
            frames = self._resampler.resample(_mixed_down(frame))
        except ValueError:  # swresample cannot convert the frame; FFmpeg's "invalid argument" is a ValueError too
            self._damaged, self._input = self._damaged + 1, None
            return
        for converted in frames:
            self._place(converted)

    def _flush(self) -> None:
        if self._input is not None:
            for converted in self._resampler.resample(None):
                self._place(converted)

    def _place(self, frame: Any) -> None:
        rate = self._format.rate
        time = self._next if frame.pts is None else round(frame.pts * frame.time_base * rate)
        if self._next is None:
            self._next = time or 0
        ahead = 0 if time is None else time - self._next
        if not self._drift.is_real(ahead / rate, self._slack / rate):
            pass
        elif ahead > _MAX_SILENCE_S * rate:
            self._next += ahead
        elif ahead > 0:
            for silence in self._silence(ahead):
                self._encode(silence)
        else:
            self._overlap += min(-ahead, frame.samples)
            frame = self._without_start(frame, -ahead)
        if frame is not None:
            self._encode(frame)

    def _silence(self, samples: int) -> Iterator[Any]:
        kind = np.dtype({"flt": "f4", "s16": "i2", "s32": "i4"}[self._format.samples])
        for start in range(0, samples, self._format.rate):
            count = min(self._format.rate, samples - start)
            yield self._frame(np.zeros((1, count * self._format.channels), kind))

    def _without_start(self, frame: Any, samples: int) -> Any | None:
        if samples >= frame.samples:
            return None
        return self._frame(frame.to_ndarray()[:, samples * self._format.channels :])

    def _frame(self, samples: Any) -> Any:
        return av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples), format=self._format.samples, layout=self._format.layout
        )

    def _encode(self, frame: Any) -> None:
        assert self._next is not None
        frame.sample_rate, frame.pts, frame.time_base = self._format.rate, self._next, Fraction(1, self._format.rate)
        self._next += frame.samples
        self._container.mux(self.stream.encode(frame))


def overlap_warnings(seconds: float, name: str) -> Warnings:
    """The warning about sound that was left out; none for as little as at every seam. name: of the track."""
    if seconds <= _USUAL_OVERLAP_S:
        return []
    return [("sound_overlap", f"{seconds:.2f} s of {name} overlapped earlier sound and was left out")]


def _described(rate: int, layout: str) -> str:
    return f"{rate / 1000:g} kHz, {layout}"


def _mixed_down(frame: Any) -> Any:
    """Mix more than eight channels of unknown layout into stereo, all in both channels. Other frames are unchanged."""
    count = frame.layout.nb_channels
    if count <= _MOST_MAPPED or not is_unknown(frame.layout):
        return frame
    [packed] = av.AudioResampler("flt").resample(frame)
    mean = packed.to_ndarray().reshape(-1, count).mean(axis=1) * count**0.5
    both = np.repeat(mean.clip(-1, 1), 2)[None].astype(np.float32)
    mixed = av.AudioFrame.from_ndarray(both, format="flt", layout="stereo")
    mixed.sample_rate, mixed.pts, mixed.time_base = frame.sample_rate, frame.pts, frame.time_base
    return mixed
