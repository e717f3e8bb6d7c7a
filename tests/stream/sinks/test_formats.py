"""Every format is written and read back: frame count, times, size, colour, alpha, audio, tags."""

import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition

from stream.errors import DiskError, MatteboxError, UnsupportedOutput, UsageError
from stream.picture.frames import Frame, VideoInfo
from stream.pump import pump
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks import open_sink
from stream.sinks.encodings import ENCODINGS, check_alpha, encoding_of
from stream.sources.file import FileSource
from stream.sources.pattern import PatternSource
from tests.fakes import ListSource, Unchanged
from tests.media import UNEVEN_MS, numbered, numbered_clip, read, sound_of, write_video

SETTINGS = Settings()
VIDEO = [s for s, f in ENCODINGS.items() if f.container]
WITH_ALPHA = [s for s in VIDEO if ENCODINGS[s].alpha_pix_fmt and s != ".gif"]


def write(source: Any, path: Path, alpha: np.ndarray[Any, Any] | None = None) -> list[str]:
    sink = open_sink(path, Options(), SETTINGS)
    pump(source, Unchanged(alpha=alpha), sink)
    return [code for code, _ in sink.warnings]


@pytest.mark.long
@pytest.mark.parametrize("suffix", VIDEO)
@pytest.mark.parametrize("size", [(160, 120), (2, 2), (642, 362)])
def test_frames_survive_encoding(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    pattern = PatternSource(*size, 12, scene="room")
    path = tmp_path / f"out{suffix}"
    write(pattern, path)
    frames = read(path)
    tolerance_s = 0.0051 if suffix == ".gif" else 0.001
    assert [f.time_s for f in frames] == pytest.approx([n / 30 for n in range(12)], abs=tolerance_s)
    assert {(f.width, f.height) for f in frames} == {size}
    errors = [float(np.abs(f.pixels.astype(int) - pattern.frame(n).pixels).mean()) for n, f in enumerate(frames)]
    assert max(errors) <= {".mkv": 0.0, ".gif": 7.0}.get(suffix, 3.0)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("pause_s", [25_000, 80_000])
def test_a_frame_is_shown_for_hours(tmp_path: Path, suffix: str, pause_s: int) -> None:
    """MP4 and MOV store no interval of more than 2**31 ticks, which is 6.6 hours at this clock."""
    clock, times = Fraction(1, 90_000), [n * 3000 + (n > 2) * pause_s * 90_000 for n in range(6)]
    sink = open_sink(tmp_path / f"out{suffix}", Options(), SETTINGS)
    sink.open(VideoInfo(64, 48, clock, Fraction(30)))
    for ticks in times:
        sink.write(Frame(np.full((72, 64), 100, np.uint8), ticks, clock))
    sink.close()
    frames = read(tmp_path / f"out{suffix}")
    found = [frame.time_s - frames[0].time_s for frame in frames]
    assert found[:3] == pytest.approx([0, 0.033, 0.067], abs=0.002)
    assert found[-3:] == pytest.approx([pause_s + n / 30 for n in (3, 4, 5)], abs=0.002)
    assert len(found) <= 6 + pause_s * 90_000 / 2**28


@pytest.mark.parametrize("suffix", VIDEO)
def test_variable_rate_keeps_every_time(tmp_path: Path, suffix: str) -> None:
    clip = write_video(tmp_path / "in.mkv", [numbered(n) for n in range(7)], codec="ffv1", times_ms=UNEVEN_MS)
    path = tmp_path / f"out{suffix}"
    write(FileSource(clip, SETTINGS), path)
    tolerance_ms = 5 if suffix == ".gif" else 1  # GIF has a resolution of 10 ms
    assert [f.time_s * 1000 for f in read(path)] == pytest.approx(UNEVEN_MS, abs=tolerance_ms)


def half_transparent(width: int, height: int) -> np.ndarray[Any, Any]:
    alpha = np.zeros((height, width), np.uint8)
    alpha[:, : width // 2] = 255
    alpha[: height // 4] = 90
    return alpha


@pytest.mark.parametrize("suffix", WITH_ALPHA)
def test_alpha_survives(tmp_path: Path, suffix: str) -> None:
    alpha, path = half_transparent(160, 120), tmp_path / f"out{suffix}"
    write(PatternSource(160, 120, 8), path, alpha)
    frames = read(path)
    assert len(frames) == 8
    for frame in frames:
        assert frame.alpha is not None
        assert float(np.abs(frame.alpha.astype(int) - alpha).mean()) < 1
        assert set(np.unique(frame.alpha[40:, 100:])) <= {0, 1}


def test_gif_pixels_are_transparent_or_opaque(tmp_path: Path) -> None:
    path = tmp_path / "out.gif"
    write(PatternSource(160, 120, 4), path, half_transparent(160, 120))
    for frame in read(path):
        assert frame.alpha is not None
        assert set(np.unique(frame.alpha)) == {0, 255}
        assert frame.alpha[60, 20] == 255
        assert frame.alpha[60, 140] == 0


@pytest.mark.parametrize(("kind", "mode"), [("plain", "rgb"), ("alpha", "rgba"), ("gray", "gray")])
def test_png_sequences_contain_the_frames(tmp_path: Path, kind: str, mode: str) -> None:
    pattern = PatternSource(160, 120, 3, scene="room")
    folder = tmp_path / "frames"
    if kind == "gray":
        grays = [pattern.frame(n).with_pixels(pattern.alpha(n), gray=True) for n in range(3)]
        write(GraySource(grays), folder)
    else:
        write(pattern, folder, half_transparent(160, 120) if kind == "alpha" else None)
    names = sorted(p.name for p in folder.iterdir())
    assert names == ["00001.png", "00002.png", "00003.png", "timestamps.txt"]
    image = cv2.imread(str(folder / "00002.png"), cv2.IMREAD_UNCHANGED)
    assert image is not None
    if mode == "gray":
        assert np.array_equal(image, pattern.alpha(1))
    else:
        assert image.shape[2] == len(mode)
        # mean error, because 4:2:0 chroma blurs colour edges
        assert float(np.abs(image[..., 2::-1].astype(int) - pattern.rgb(1)).mean()) < 3
    if mode == "rgba":
        assert np.array_equal(image[..., 3], half_transparent(160, 120))
    times = (folder / "timestamps.txt").read_text().splitlines()
    assert times == ["# timestamp format v2", "0.000", "33.333", "66.667"]


class GraySource(ListSource):
    def __init__(self, items: list[Frame]) -> None:
        super().__init__(items)
        first = items[0]
        self.info = VideoInfo(first.width, first.height, Fraction(1, 30), Fraction(30), gray=True)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".webm", ".mov"])
def test_mattes_keep_their_levels(tmp_path: Path, suffix: str) -> None:
    ramp = np.tile(np.linspace(0, 255, 160).astype(np.uint8), (120, 1))
    path = tmp_path / f"out{suffix}"
    write(GraySource([Frame(ramp, n, Fraction(1, 30), gray=True) for n in range(4)]), path)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        levels = frame.reformat(format="gray", dst_color_range=2).to_ndarray()
    error = np.abs(levels.astype(int) - ramp)
    assert error.max() <= (0 if suffix == ".mkv" else 4)
    if suffix == ".mkv":
        assert frame.format.name == "gray"


def test_patterns_name_the_images(tmp_path: Path) -> None:
    write(PatternSource(32, 32, 2), tmp_path / "shots" / "shot_%03d.png")
    assert {"shot_001.png", "shot_002.png"} <= {p.name for p in (tmp_path / "shots").iterdir()}


@pytest.mark.parametrize("name", ["%.png", "a%d%d.png"])
def test_a_name_without_a_number_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="%05d"):
        open_sink(tmp_path / "x" / name, Options(), SETTINGS)


def test_a_folder_keeps_its_other_files(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "note.txt").write_text("mine")
    write(PatternSource(32, 32, 2), tmp_path / "old")
    assert {p.name for p in (tmp_path / "old").iterdir()} == {"note.txt", "00001.png", "00002.png", "timestamps.txt"}
    assert (tmp_path / "old" / "note.txt").read_text() == "mine"


@pytest.mark.parametrize("suffix", [s for s in VIDEO if s != ".gif"])  # GIF is RGB: there is nothing to tag
def test_tags_say_bt709_limited(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write(PatternSource(64, 64, 2), path)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range) == (1, 1)
        assert (context.color_primaries, context.color_trc) == (1, 1)


@pytest.mark.long
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mov", ".mkv"])
@pytest.mark.parametrize("codec", ["aac", "libopus", "mp3", "flac", "pcm_s16le"])
def test_audio_stays_in_sync(tmp_path: Path, suffix: str, codec: str) -> None:
    """A tone of half a second every second: its starts must not move by more than 40 ms."""
    clip = numbered_clip(tmp_path / "in.mkv", 90, codec="ffv1", sound_s=3.0, sound_codec=codec)
    path = tmp_path / f"out{suffix}"
    assert write(FileSource(clip, SETTINGS), path) == []
    assert tone_starts(path) == pytest.approx([0, 1, 2], abs=0.04)
    if codec in (ENCODINGS[suffix].sound or {codec}):
        with av.open(str(clip)) as a, av.open(str(path)) as b:
            assert [bytes(p) for p in a.demux(audio=0) if p.size] == [bytes(p) for p in b.demux(audio=0) if p.size]


def tone_starts(path: Path) -> list[float]:
    samples, rate, start_s = sound_of(path)
    window = rate // 100
    loud = np.abs(samples[: len(samples) // window * window]).reshape(-1, window).max(axis=1) > 0.1 * samples.max()
    before = np.concatenate([[False, False], loud])
    starts = np.flatnonzero(loud & ~before[1:-1] & ~before[:-2])
    return [start_s + float(at) / 100 for at in starts]


def test_every_audio_track_is_kept(tmp_path: Path) -> None:
    two = tmp_path / "two.mkv"
    first = numbered_clip(tmp_path / "a.mkv", 30, codec="ffv1", sound_s=1.0)
    with av.open(str(first)) as a, av.open(str(two), "w") as out:
        streams = {0: out.add_stream_from_template(a.streams.video[0])}
        copies = [out.add_stream_from_template(a.streams.audio[0]) for _ in range(2)]
        for packet in a.demux():
            if not packet.size:
                continue
            for stream in [streams[0]] if packet.stream.type == "video" else copies:
                packet.stream = stream
                out.mux(packet)
    path = tmp_path / "out.mp4"
    write(FileSource(two, SETTINGS), path)
    with av.open(str(path)) as container:
        assert len(container.streams.audio) == 2


@pytest.mark.parametrize("name", ["out.gif", "frames"])
def test_formats_without_audio_warn(tmp_path: Path, name: str) -> None:
    clip = numbered_clip(tmp_path / "in.mp4", 6, sound_s=0.2)
    assert write(FileSource(clip, SETTINGS), tmp_path / name) == ["no_sound"]


def test_the_error_about_alpha_names_the_formats_that_have_it() -> None:
    with pytest.raises(UnsupportedOutput, match=r"\.webm.*\.mov.*\.mkv"):
        check_alpha(ENCODINGS[".mp4"])


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(UnsupportedOutput, match=r"\.mp4.*\.gif"):
        encoding_of(Path("a.wmv"))


def test_a_failure_leaves_nothing_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"the old one")
    sink = open_sink(path, Options(), SETTINGS)
    with pytest.raises(ValueError, match="broke"):
        pump(PatternSource(64, 64, 30), Unchanged(fails_at=20), sink)
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    assert path.read_bytes() == b"the old one"


def test_nothing_is_visible_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    seen: list[bool] = []
    pump(
        PatternSource(64, 64, 30),
        Unchanged(),
        open_sink(path, Options(), SETTINGS),
        lambda _: seen.append(path.exists()),
    )
    assert not any(seen)
    assert path.exists()


def test_a_missing_folder_is_named_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="does not exist"):
        open_sink(tmp_path / "no" / "out.mp4", Options(), SETTINGS)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "frames"])
def test_a_full_disk_is_reported_and_leaves_nothing(small_disk: Path, name: str) -> None:
    rng = np.random.default_rng(1)
    frames = [Frame(rng.integers(0, 256, (720, 640), np.uint8), n, Fraction(1, 30)) for n in range(40)]
    source = ListSource(frames)
    source.info = VideoInfo(640, 480, Fraction(1, 30), Fraction(30))
    sink = open_sink(small_disk / name, Options(), SETTINGS)
    with pytest.raises(MatteboxError) as caught:
        pump(source, Unchanged(), sink)
    assert caught.value.code == "disk"
    assert "full" in str(caught.value)
    assert list(small_disk.iterdir()) == []


def test_surround_sound_works_in_every_format(tmp_path: Path) -> None:
    """AC-3's usual layout is 5.1(side), which Opus does not support under that name."""
    clip = tmp_path / "surround.mkv"
    with av.open(str(clip), "w") as out:
        video, sound = out.add_stream("ffv1", rate=30), out.add_stream("ac3", rate=48_000)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound.layout = "5.1(side)"
        for n in range(30):
            out.mux(video.encode(av.VideoFrame.from_ndarray(numbered(n), format="rgb24")))
        for n in range(30):
            frame = av.AudioFrame.from_ndarray(np.zeros((6, 1536), np.float32), format="fltp", layout="5.1(side)")
            frame.sample_rate, frame.pts = 48_000, n * 1536
            out.mux(sound.encode(frame))
        out.mux(video.encode(None))
        out.mux(sound.encode(None))
    for suffix in (".webm", ".mp4", ".mov", ".mkv"):
        path = tmp_path / f"out{suffix}"
        write(FileSource(clip, SETTINGS), path)
        with av.open(str(path)) as container:
            assert container.streams.audio[0].codec_context.layout.nb_channels == 6


@pytest.mark.long
def test_gif_of_a_fast_video_plays_at_the_right_speed(tmp_path: Path) -> None:
    """Players replace delays under 20 ms by 100 ms, so none is written."""
    path = tmp_path / "out.gif"
    assert write(PatternSource(32, 32, 120, Fraction(60)), path) == ["reduced_rate"]
    times = [f.time_s for f in read(path)]
    assert np.diff(times).min() == pytest.approx(0.02)
    assert times[-1] == pytest.approx(119 / 60, abs=0.03)


def test_languages_and_the_default_track_are_kept(tmp_path: Path) -> None:
    clip = tmp_path / "two.mkv"
    one = numbered_clip(tmp_path / "a.mkv", 30, codec="ffv1", sound_s=1.0)
    with av.open(str(one)) as a, av.open(str(clip), "w") as out:
        video = out.add_stream_from_template(a.streams.video[0])
        tracks = [out.add_stream_from_template(a.streams.audio[0]) for _ in range(2)]
        for track, language in zip(tracks, ("eng", "deu"), strict=True):
            track.metadata["language"] = language
        tracks[0].disposition, tracks[1].disposition = Disposition(0), Disposition.default
        for packet in a.demux():
            if packet.size:
                for stream in [video] if packet.stream.type == "video" else tracks:
                    packet.stream = stream
                    out.mux(packet)
    for suffix in (".mkv", ".webm"):
        path = tmp_path / f"out{suffix}"
        write(FileSource(clip, SETTINGS), path)
        with av.open(str(path)) as container:
            sound = container.streams.audio
            assert [s.metadata.get("language") for s in sound] == ["eng", "deu"]
            assert [bool(s.disposition & Disposition.default) for s in sound] == [False, True]


def test_names_of_any_legal_length_dotted_folders_and_links(tmp_path: Path) -> None:
    write(PatternSource(32, 32, 2), tmp_path / ("x" * 240 + ".mp4"))
    (tmp_path / "shots.2024").mkdir()
    write(PatternSource(32, 32, 2), tmp_path / "shots.2024")
    assert (tmp_path / "shots.2024" / "00001.png").exists()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(PatternSource(32, 32, 2), tmp_path / "link")
    assert (tmp_path / "real" / "00001.png").exists()
    (tmp_path / "l.mp4").symlink_to(tmp_path / "target.mp4")
    write(PatternSource(32, 32, 2), tmp_path / "l.mp4")
    assert (tmp_path / "l.mp4").is_symlink()
    assert (tmp_path / "target.mp4").is_file()
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


def test_a_side_too_long_for_the_codec_is_refused(tmp_path: Path) -> None:
    source = ListSource([])
    source.info = VideoInfo(16_386, 2, Fraction(1, 30), Fraction(30))
    with pytest.raises(UnsupportedOutput, match="16384 pixels"):
        pump(source, Unchanged(), open_sink(tmp_path / "o.mp4", Options(), SETTINGS))
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_disk_is_reported_before_any_work(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(DiskError, match="read-only"):
        open_sink(small_disk / "o.mp4", Options(), SETTINGS)
