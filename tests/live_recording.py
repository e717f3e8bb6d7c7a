"""What a live source delivers, recorded: frames, loudness, states; whether its sound is in step with its picture."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from stream.address import Address
from stream.picture.frames import Frame
from stream.settings import Settings
from stream.sources.base import SourceOptions, SourceState
from stream.sources.live.network import NetworkSource
from tests.flashes import beeps_s, flashes_s, loudness, offsets_s

IN_STEP_S = 0.04
PROMPT = Settings(rtsp_retry_s=0.5, slate_after_s=0.3)


@dataclass
class Recording:
    """What a source delivered. luma: (time, mean) of each frame. peaks: of the sound, decoded."""

    source: NetworkSource
    frames: list[Frame] = field(default_factory=list)
    luma: list[tuple[float, float]] = field(default_factory=list)
    peaks: list[tuple[float, float]] = field(default_factory=list)
    states: list[SourceState] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)

    def add(self, item: Any) -> None:
        if isinstance(item, Frame):
            self.frames.append(item)
            self.luma.append((item.time_s, float(item.planes()[0].mean())))
            return
        self.spans.append((item.pts, item.duration))
        for frame in item.stream.codec_context.decode(item):
            self.peaks += loudness(frame)

    @property
    def sound(self) -> tuple[str, int]:
        [stream] = self.source.info.sound
        return stream.codec_context.codec.canonical_name, stream.codec_context.sample_rate

    def assert_in_step(self, from_s: float = 0.0) -> None:
        """Every flash from a time on has its beep, and the packets do not overlap."""
        flashes = [time_s for time_s in flashes_s(self.luma) if time_s >= from_s]
        beeps = beeps_s(self.peaks)
        assert flashes
        assert beeps
        assert max(map(abs, offsets_s(flashes[:-1], beeps)), default=0.0) < IN_STEP_S, (flashes, beeps)
        for (start, length), (after, _) in pairwise(self.spans):
            assert start + length <= after


def record(url: str, duration_s: float, settings: Settings = PROMPT, **fields: Any) -> Recording:
    states: list[SourceState] = []
    options = SourceOptions(duration_s=duration_s, on_state=states.append, **fields)
    source = NetworkSource(Address.read(url), settings, options)
    recording = Recording(source, states=states)
    try:
        for item in source:
            recording.add(item)
    finally:
        source.close()
    return recording


def until_live(url: str) -> None:
    source = NetworkSource(Address.read(url), PROMPT)
    for item in source:
        if isinstance(item, Frame) and not item.slate:
            break
    source.close()
