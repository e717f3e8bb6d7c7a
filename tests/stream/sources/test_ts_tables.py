"""MPEG-TS whose codecs change in mid-file: the tables say where, and both parts are read."""

from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest

from stream.picture.frames import Frame
from stream.pump import pump
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks import open_sink
from stream.sources import ts_tables
from stream.sources.decode_health import damaged_frames
from stream.sources.file import FileSource
from stream.sources.ts_tables import read_tables
from tests.fakes import Unchanged
from tests.media import number_of, numbered, remuxed, write_video
from tests.sounds import clip_with, heard, joined, tones, tones_in

SETTINGS = Settings(threads=1)
VIDEO, SOUND = 256, 257  # PIDs


def part(path: Path, video: str = "libx264", sound: str = "aac", container: str = "mpegts") -> Path:
    options = {"bf": "0"} if video == "libx264" else {}
    images = (numbered(n, 48, 48) for n in range(30))
    return write_video(path, images, codec=video, sound_s=1.0, sound_codec=sound, container=container, options=options)


@pytest.mark.parametrize("suffix", [".ts", ".m2ts"])
def test_the_tables_say_where_codecs_change(tmp_path: Path, suffix: str) -> None:
    options = {"mpegts_m2ts_mode": "1"} if suffix == ".m2ts" else {}
    clips = [
        write_video(
            tmp_path / f"{video}{suffix}",
            (numbered(n) for n in range(3)),
            codec=video,
            sound_s=0.2,
            sound_codec=sound,
            container="mpegts",
            muxing=options,
        )
        for video, sound in (("libx264", "aac"), ("mpeg2video", "ac3"))
    ]
    size = clips[0].stat().st_size
    found = read_tables(joined(tmp_path / "in.ts", *clips, clips[0]))
    spans = list(found.spans.values())
    sound = [["aac", "ac3", "aac"]] if suffix == ".ts" else []  # an M2TS has no type for AAC
    assert [[codec for _, codec in span] for span in spans] == [["h264", "mpeg2video", "h264"], *sound]
    for span in spans:
        assert [offset for offset, _ in span] == [0, pytest.approx(size, abs=2000), pytest.approx(span[2][0])]
        assert size <= span[1][0] < span[2][0]
    pid = next(iter(found.spans))
    assert [found.codec(pid, offset) for offset in (0, size - 1, size + 2000)] == ["", "", "mpeg2video"]
    assert found.codec(pid, None) == found.codec(1, size + 2000) == ""


def test_a_large_file_is_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ts_tables, "_CHUNK", 9024)
    monkeypatch.setattr(ts_tables, "_SAMPLES", 8)
    a, b = part(tmp_path / "a.ts"), part(tmp_path / "b.ts", "mpeg2video")
    clip = joined(tmp_path / "in.ts", *[a] * 8, *[b] * 8)
    spans = read_tables(clip).spans
    assert list(spans) == [VIDEO]
    offset, codec = spans[VIDEO][1]
    assert codec == "mpeg2video"
    assert offset == pytest.approx(8 * a.stat().st_size, abs=2000)


@pytest.mark.parametrize(
    "content", [b"", b"G", b"G" * 10_000, bytes(10_000), np.random.default_rng(1).bytes(100_000)], ids=range(5)
)
def test_damaged_tables_are_ignored(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in.ts").write_bytes(content)
    assert read_tables(tmp_path / "in.ts").spans == {}
    clip = part(tmp_path / "a.ts").read_bytes()
    (tmp_path / "in.ts").write_bytes(clip[:5000] + content + clip[5000:])
    assert read_tables(tmp_path / "in.ts").spans == {}


def test_there_is_a_decoder_for_every_codec() -> None:
    for name in {*ts_tables._CODECS.values(), *ts_tables._DESCRIPTORS.values()}:
        assert av.Codec(name, "r").name


@pytest.mark.parametrize("codecs", [("libx264", "mpeg2video"), ("mpeg2video", "libx264")])
def test_frames_of_all_codecs_are_read(tmp_path: Path, codecs: tuple[str, str]) -> None:
    first, second = part(tmp_path / "a.ts", codecs[0]), part(tmp_path / "b.ts", codecs[1])
    with closing(FileSource(joined(tmp_path / "in.ts", first, second), SETTINGS)) as source:
        frames = [item for item in source if isinstance(item, Frame)]
    numbers = [number_of(frame) for frame in frames]
    assert numbers[-30:] == [*range(30)]
    assert numbers[:28] == [*range(28)]
    assert len(numbers) <= 60  # FFmpeg's demuxer drops or cuts the last two frames before the change
    assert [frame.time_s for frame in frames[-30:]] == pytest.approx([1 + n / 30 for n in range(30)], abs=0.1)
    assert source.warnings == ([] if codecs[0] == "libx264" else [damaged_frames(1, len(numbers))])


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize(("first", "second"), [("aac", "mp2"), ("ac3", "aac"), ("mp2", "ac3")])
def test_sound_of_all_codecs_is_heard(tmp_path: Path, first: str, second: str, suffix: str) -> None:
    clips = [
        clip_with(tmp_path / f"{codec}.ts", tones(1), layout="mono", codec=codec) for codec in (first, second, first)
    ]
    source = FileSource(joined(tmp_path / "in.ts", *clips), SETTINGS)
    sink = open_sink(tmp_path / f"out{suffix}", Options(), SETTINGS)
    pump(source, Unchanged(), sink)
    wave, rate, _ = heard(tmp_path / f"out{suffix}")
    assert len(wave) / rate == pytest.approx(3, abs=0.1)
    for part_s in (0.3, 1.3, 2.3):
        assert tones_in(tmp_path / f"out{suffix}", slice(round(part_s * rate), round((part_s + 0.5) * rate))) == [[0]]
    assert [*source.warnings, *sink.warnings] == []


@pytest.mark.parametrize(
    ("options", "frames", "codes"),
    [
        ({"mpegts_start_pid": "0x200"}, 58, []),
        ({"mpegts_start_pid": "0x200", "mpegts_pmt_start_pid": "0x1100"}, 30, ["later_streams"]),
    ],
)
def test_streams_of_other_pids_are_read_or_reported(
    tmp_path: Path, options: dict[str, str], frames: int, codes: list[str]
) -> None:
    """Recordings of different programmes or cameras; a new table of the same programme is read."""
    second = remuxed(part(tmp_path / "a.ts"), tmp_path / "b.ts", options=options)
    with closing(FileSource(joined(tmp_path / "in.ts", tmp_path / "a.ts", second), SETTINGS)) as source:
        items = list(source)
    assert sum(isinstance(item, Frame) for item in items) == pytest.approx(frames, abs=2)
    assert sum(not isinstance(item, Frame) for item in items) == (96 if frames > 30 else 48)
    assert [code for code, _ in source.warnings] == codes
    if codes:
        assert source.warnings[0][1] == "2 streams that begin in mid-file (aac, h264) could not be read"
