import av
import pytest

from stream.sinks.parts.sound_format import encoder_format, is_unknown, loses_channels, nearest_layout, nearest_rate

RATES = (96_000, 88_200, 48_000, 44_100, 8_000)


@pytest.mark.parametrize(
    ("rate", "chosen"),
    [
        (44_100, 44_100),
        (45_000, 48_000),
        (6_000, 8_000),
        (192_000, 96_000),
        (176_400, 88_200),
        (352_800, 88_200),
        (100_001, 96_000),
    ],
)
def test_rates_lose_nothing_or_are_divided(rate: int, chosen: int) -> None:
    assert nearest_rate(rate, RATES) == chosen


@pytest.mark.parametrize(("rate", "chosen"), [(192_000, 192_000), (705_600, 352_800), (768_000, 384_000)])
def test_flac_stores_all_rates_up_to_its_maximum(rate: int, chosen: int) -> None:
    assert encoder_format("flac", rate, av.AudioLayout("stereo"), 4).rate == chosen


@pytest.mark.parametrize(
    ("layout", "aac", "opus", "flac"),
    [
        ("mono", "mono", "mono", "mono"),
        ("downmix", "stereo", "stereo", "downmix"),
        ("2.1", "5.1", "5.1", "2.1"),
        ("3.0", "3.0", "5.1", "3.0"),
        ("4.0", "4.0", "5.1", "4.0"),
        ("quad(side)", "5.0", "quad", "quad(side)"),
        ("5.0(side)", "5.0", "5.1", "5.0(side)"),
        ("5.1(side)", "5.1", "5.1", "5.1(side)"),
        ("6.0", "7.1", "7.1", "6.0"),
        ("6.1", "7.1", "7.1", "6.1"),
        ("1 channels", "mono", "mono", "mono"),
        ("6 channels", "5.1", "5.1", "5.1"),
    ],
)
def test_layouts_that_lose_no_channel(layout: str, aac: str, opus: str, flac: str) -> None:
    found = av.AudioLayout(layout)
    chosen = [nearest_layout(found, encoder) for encoder in ("aac", "libopus", "flac")]
    assert chosen == [aac, opus, flac]
    assert not any(loses_channels(found, choice) for choice in chosen)


@pytest.mark.parametrize(
    ("layout", "chosen"), [("7.1(wide)", "7.1"), ("hexagonal", "7.1"), ("7.1.4", "7.1"), ("16 channels", "stereo")]
)
def test_layouts_that_are_mixed_down(layout: str, chosen: str) -> None:
    found = av.AudioLayout(layout)
    assert nearest_layout(found, "aac") == chosen
    assert loses_channels(found, chosen)


def test_an_encoder_never_gets_an_unknown_layout() -> None:
    for count in range(1, 33):
        for encoder in ("aac", "libopus", "flac"):
            chosen = av.AudioLayout(nearest_layout(av.AudioLayout(f"{count} channels"), encoder))
            assert not is_unknown(chosen)
            assert chosen.nb_channels >= min(count, 2 if count > 8 else count)


@pytest.mark.parametrize(
    ("encoder", "sample_bytes", "samples"), [("flac", 2, "s16"), ("flac", 4, "s32"), ("aac", 2, "flt")]
)
def test_samples_keep_their_precision(encoder: str, sample_bytes: int, samples: str) -> None:
    assert encoder_format(encoder, 48_000, av.AudioLayout("stereo"), sample_bytes).samples == samples
