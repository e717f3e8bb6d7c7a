"""Audio tracks of output files: packets are copied where the container supports the codec, else re-encoded."""

from fractions import Fraction

import av
from av.container import OutputContainer

from stream.picture.frames import Sound, VideoInfo
from stream.pump import Warnings
from stream.sinks.encodings import Encoding
from stream.sinks.parts.drift import Drift
from stream.sinks.parts.encoded_sound import EncodedTrack, overlap_warnings
from stream.sinks.parts.sound_format import is_unknown
from stream.sinks.parts.trial import Trial, plain_copy

_LEAST_SLACK_S = 0.01  # some packets last less than a millisecond, which is the tick of many files


class SoundTracks:
    """The audio tracks of an output file, one for each of the input's that can be decoded.

    Create it after the output's video stream and before its header is written. Languages and titles are written by
    `ExtrasWriter`.
    """

    def __init__(self, container: OutputContainer, chosen: Encoding, info: VideoInfo) -> None:
        self._tracks: dict[int, CopiedTrack | EncodedTrack] = {}
        self._names: dict[int, str] = {}
        self._warnings: Warnings = []
        if info.sound and not chosen.sound_codec:
            self._warnings.append(("no_sound", f"{chosen.name} holds no sound; the video's own was left out"))
            return
        for source in info.sound:
            name = _name(source)
            if not _is_known(source):
                self._warnings.append(("sound_left_out", f"{name} holds nothing that can be decoded; it was left out"))
                continue
            self._tracks[source.index] = _track(container, chosen, source, name, info)
            self._names[source.index] = name

    @property
    def streams(self) -> dict[int, av.AudioStream]:
        """The output's streams, by the index of the input's stream; without those of tracks that are left out."""
        return {index: track.stream for index, track in self._tracks.items()}

    def write(self, packet: Sound) -> None:
        if track := self._tracks.get(packet.stream.index):
            track.write(packet)

    def close(self) -> None:
        """Write what the encoders still hold."""
        for track in self._tracks.values():
            track.close()

    @property
    def warnings(self) -> Warnings:
        """What was changed or lost; complete after `close`."""
        empty = [name for index, name in self._names.items() if self._tracks[index].empty]
        return [
            *self._warnings,
            *(("empty_sound", f"{name} is empty") for name in empty),
            *(warning for track in self._tracks.values() for warning in track.warnings),
        ]


class CopiedTrack:
    """Copies the input's packets unchanged, at increasing times. Those that overlap earlier sound are left out."""

    def __init__(self, container: OutputContainer, source: av.AudioStream, name: str, trial: Trial) -> None:
        """name: of the track, for warnings."""
        self._container, self._name, self._trial = container, name, trial
        self.stream = container.add_stream_from_template(source)
        self._drift = Drift()
        self._last: int | None = None
        self._end = 0
        self._last_written: int | None = None
        self._overlap_s = 0.0
        self._packets = self._damaged = 0

    def write(self, packet: Sound) -> None:
        """Write a packet, unless `Drift` finds that it overlaps the sound before. A packet whose jitter exceeds half a
        packet is moved to the end of the one before."""
        self._packets += 1
        time, duration, clock = packet.pts or 0, packet.duration or 0, packet.time_base or self.stream.time_base
        assert clock is not None
        if self._last is not None:
            ahead = time - self._end
            if not duration:  # unknown, so a gap cannot be told from a longer packet
                ahead = min(ahead, 0)
            slack_s = max(float(duration * clock) / 2, _LEAST_SLACK_S)
            real = self._drift.is_real(float(ahead * clock), slack_s)
            if real and ahead < 0:
                self._overlap_s += float(duration * clock)
                return
            jitter = not real and abs(ahead * clock) > slack_s
            time = self._end if jitter else max(time, self._last + duration // 2)
        self._last, self._end = time, time + duration
        self._mux(packet, time * clock, duration * clock)

    def _mux(self, packet: Sound, time_s: Fraction, duration_s: Fraction) -> None:
        """Write the packet at a later tick of the output than the one before, as the muxer requires. Only packets that
        are shorter than a tick may share one."""
        tick = self.stream.time_base
        assert tick is not None
        ticks, least = round(time_s / tick), 0 if 0 < duration_s < tick else 1
        if self._last_written is not None:
            ticks = max(ticks, self._last_written + least)
        if packet.has_sidedata("new_extradata"):  # the muxer would take it for a change of parameters
            packet = plain_copy(packet)
        packet.stream, packet.time_base = self.stream, tick
        packet.pts = packet.dts = self._last_written = ticks
        packet.duration = round(duration_s / tick)
        if self._trial.accepts(packet):
            self._container.mux(packet)
        else:
            self._damaged += 1

    def close(self) -> None:
        """Nothing to flush."""
        self._trial.close()

    @property
    def empty(self) -> bool:
        """Whether no packet was written."""
        return self._packets == 0

    @property
    def warnings(self) -> Warnings:
        """What was lost; complete after `close`."""
        found: Warnings = []
        if self._damaged:
            count = f"{self._damaged} of {self._packets} packets of {self._name}"
            found.append(("damaged_sound", f"{count} were damaged and were left out"))
        return found + overlap_warnings(self._overlap_s, self._name)


def _track(
    container: OutputContainer, chosen: Encoding, source: av.AudioStream, name: str, info: VideoInfo
) -> CopiedTrack | EncodedTrack:
    track: CopiedTrack | EncodedTrack
    trial = Trial(chosen, source) if _is_stored(container, chosen, source) else None
    if trial and trial.accepted and source.index not in info.changing_sound():
        track = CopiedTrack(container, source, name, trial)
    else:
        track = EncodedTrack(container, source, chosen.sound_codec, name, info.other_codec)
    track.stream.disposition = source.disposition
    return track


def _name(source: av.AudioStream) -> str:
    """For warnings. Tracks are numbered as in the file, including those that are not read."""
    indexes = [stream.index for stream in source.container.streams.audio]
    return f"sound track {indexes.index(source.index) + 1}" if len(indexes) > 1 else "the sound"


def _is_known(source: av.AudioStream) -> bool:
    """Whether the format is known. It is unknown if a container announces a track and has no packet of it."""
    context = source.codec_context
    return context.sample_rate > 0 and context.layout.nb_channels > 0


def _is_stored(container: OutputContainer, chosen: Encoding, source: av.AudioStream) -> bool:
    """Whether the output's format stores the codec, with its channel layout."""
    codec, layout = source.codec_context.codec.canonical_name, source.codec_context.layout
    if codec == "aac" and not source.codec_context.extradata and container.name.startswith("pipe:"):
        return False  # the muxer would copy the parameters from the packets to the header later, which a pipe prevents
    if chosen.sound is not None and codec not in chosen.sound:
        return False
    if chosen.container == "matroska" and codec.startswith("pcm_") and layout.nb_channels > 2:
        return is_unknown(layout)  # Matroska stores only the number of channels of PCM
    return True
