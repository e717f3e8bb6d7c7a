"""The sample rate, channel layout and sample format that an audio encoder gets for an input."""

from dataclasses import dataclass

import av

_MAX_RATE_HZ = 655_350  # of FLAC
_MIN_RATE_HZ = 8_000  # AAC has 7350 Hz too, which few players support
_RATES_HZ = {"libopus": (48_000,)}  # others: as the encoder says
_LAYOUTS = {
    "aac": ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1"),  # those that AAC's header has a number for
    "libopus": ("mono", "stereo", "quad", "5.1", "7.1"),  # in its other layouts FFmpeg swaps channels
    "flac": ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1"),
}
_ANY_LAYOUT = {"flac"}  # encoders that store any layout of up to eight channels
_BY_COUNT = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_STAND_INS = {
    "SL": {"BL"},
    "SR": {"BR"},
    "BL": {"SL"},
    "BR": {"SR"},
    "BC": {"BL", "BR"},
    "FC": {"FL", "FR"},
    "DL": {"FL"},
    "DR": {"FR"},
}
"""Channels to which libswresample moves one that a layout does not have."""


@dataclass(frozen=True)
class SoundFormat:
    """rate: samples per second. layout: FFmpeg's name of the channel layout. samples: FFmpeg's name of the interleaved
    sample format: flt, s16 or s32."""

    rate: int
    layout: str
    samples: str

    @property
    def channels(self) -> int:
        return av.AudioLayout(self.layout).nb_channels


def encoder_format(encoder: str, rate: int, layout: av.AudioLayout, sample_bytes: int) -> SoundFormat:
    """The format in which `encoder` (aac, libopus or flac) gets the sound of an input: the nearest that it supports.

    rate, layout, sample_bytes: of the input, per second and per sample.
    """
    samples = "flt" if encoder != "flac" else "s32" if sample_bytes > 2 else "s16"
    return SoundFormat(nearest_rate(rate, _rates(encoder)), nearest_layout(layout, encoder), samples)


def is_converted(to: SoundFormat, source: av.AudioCodecContext) -> bool:
    """Whether more than the codec changes: the rate, the layout, or the precision of PCM of over 16 bits."""
    layout = source.layout
    same_layout = layout.name == to.layout or (is_unknown(layout) and layout.nb_channels == to.channels <= 2)
    is_raw = source.name.startswith("pcm_") and source.format is not None
    precise = is_raw and source.format.bytes > 2 and to.samples == "flt"
    return source.sample_rate != to.rate or not same_layout or precise


def _rates(encoder: str) -> tuple[int, ...]:
    rates = _RATES_HZ.get(encoder) or av.Codec(encoder, "w").audio_rates or ()
    return tuple(rate for rate in rates if rate >= _MIN_RATE_HZ)


def nearest_rate(rate: int, rates: tuple[int, ...]) -> int:
    """The lowest of `rates` that loses nothing; else the highest that divides `rate`; else the highest.

    No rates: all up to FLAC's maximum.
    """
    if not rates:
        return rate if rate <= _MAX_RATE_HZ else nearest_rate(rate, (352_800, 384_000))
    enough = [choice for choice in rates if choice >= rate]
    return min(enough) if enough else max((choice for choice in rates if rate % choice == 0), default=max(rates))


def nearest_layout(layout: av.AudioLayout, encoder: str) -> str:
    """The smallest layout of the encoder into which every channel fits separately; its largest if there is none."""
    if is_unknown(layout):
        if layout.nb_channels not in _BY_COUNT:
            return "stereo"
        layout = av.AudioLayout(_BY_COUNT[layout.nb_channels])
    if layout.name in _LAYOUTS[encoder] or (encoder in _ANY_LAYOUT and layout.nb_channels <= 8):
        return layout.name
    fitting = [choice for choice in _LAYOUTS[encoder] if not loses_channels(layout, choice)]
    return fitting[0] if fitting else _LAYOUTS[encoder][-1]


def loses_channels(layout: av.AudioLayout, choice: str) -> bool:
    """Whether channels of `layout` are mixed into others, or lost, when it is converted to the layout `choice`."""
    if is_unknown(layout):
        return layout.nb_channels > av.AudioLayout(choice).nb_channels
    channels, places = _channels(layout), _channels(av.AudioLayout(choice))
    moved = channels - places
    used = [place for channel in moved for place in _STAND_INS.get(channel, {""})]
    return not set(used) <= places - channels or len(set(used)) < len(used)


def is_unknown(layout: av.AudioLayout) -> bool:
    """Whether the layout is only a number of channels, as that of most PCM."""
    return "channels" in layout.name


def layout_name(layout: av.AudioLayout) -> str:
    """FFmpeg's name of the layout, for users: that of one or two channels is known even if the container has none."""
    return _BY_COUNT[layout.nb_channels] if is_unknown(layout) and layout.nb_channels <= 2 else layout.name


def _channels(layout: av.AudioLayout) -> set[str]:
    return {channel.name for channel in layout.channels}
