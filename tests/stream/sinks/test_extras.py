"""What a file carries besides pictures and sound is in the result, or its loss is reported."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from stream.picture.frames import Frame
from stream.pump import Warnings, pump
from stream.records.metadata import Metadata
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks import open_sink
from stream.sinks.encodings import ENCODINGS
from stream.sinks.parts.joined import Part
from stream.sinks.parts.segment import join, open_segment
from stream.sources import open_source
from stream.sources.base import SourceOptions
from stream.sources.file import FileSource
from tests import rich_clips
from tests.fakes import Unchanged
from tests.media import numbered, write_video
from tests.rich_clips import (
    CHAPTERS,
    PHONE,
    attachments_of,
    chapters_of,
    covers_of,
    cues_of,
    data_of,
    rich_clip,
    tags_of,
)

SETTINGS = Settings(hw_encode=False, threads=1)
CONTAINERS = (".mp4", ".mov", ".mkv", ".webm")


def convert(
    clip: Path, out: str, metadata: Metadata = Metadata.KEEP, start_s: float = 0.0, end_s: float | None = None
) -> tuple[Path, Warnings]:
    """The result, and the warnings."""
    path = clip.with_name(out)
    source = open_source(clip, SourceOptions(start_s, end_s, metadata=metadata), SETTINGS)
    sink = open_sink(path, Options(), SETTINGS)
    pump(source, Unchanged(), sink)
    return path, [*source.warnings, *sink.warnings]


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a phone writes it, with chapters."""
    return rich_clip(tmp_path_factory.mktemp("phone") / "in.mov", PHONE | {"rotate": "90"}, chapters=CHAPTERS)


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_tags_and_chapters_are_kept_in_every_container(phone: Path, suffix: str) -> None:
    path, warnings = convert(phone, f"kept{suffix}")
    assert warnings == []
    tags = tags_of(path)
    for name, text in PHONE.items():
        assert tags[name.lower()] == text, name
    assert not {"rotate", "duration", "bps"} & tags.keys()
    assert chapters_of(path) == CHAPTERS
    with av.open(str(path)) as container:
        subtitles = [stream for stream in container.streams.subtitles if stream.disposition]
        assert subtitles == [], "chapters are not copied as subtitles too"


def test_tags_return_from_matroska_as_they_were(phone: Path) -> None:
    between, _ = convert(phone, "between.mkv")
    path, _ = convert(between, "again.mp4")
    assert PHONE.items() <= _exact_tags(path).items()
    assert chapters_of(path) == CHAPTERS


def _exact_tags(path: Path) -> dict[str, str]:
    with av.open(str(path)) as container:
        return container.metadata


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_common_tags_are_where_all_players_read_them(tmp_path: Path, suffix: str) -> None:
    """In the older formats of iTunes and QuickTime, which allow no other tags."""
    clip = rich_clip(
        tmp_path / "in.mkv", {"title": "Holiday", "artist": "Ada", "creation_time": PHONE["creation_time"]}
    )
    path, _ = convert(clip, f"out{suffix}")
    content = path.read_bytes()
    assert b"\xa9nam" in content
    assert b"\xa9ART" in content
    assert b"mdta" not in content
    assert tags_of(path) == {"title": "Holiday", "artist": "Ada", "creation_time": PHONE["creation_time"]}


def test_a_part_has_its_chapters_and_subtitles_and_the_date(tmp_path: Path) -> None:
    clip = rich_clip(tmp_path / "in.mkv", PHONE, chapters=CHAPTERS, subtitles="subrip", timecode="01:00:00:00")
    path, warnings = convert(clip, "part.mkv", start_s=0.5, end_s=1.4)
    assert warnings == []
    assert chapters_of(path) == [(0, 500, "One"), (500, 900, "Zwei ü")]
    assert cues_of(path) == [(0, 400, "Hallo {\\i1}Welt{\\i0}\\Nzwei"), (500, 900, "Ende ü")]
    assert tags_of(path)["creation_time"] == PHONE["creation_time"]
    with av.open(str(path)) as container:
        assert container.streams.video[0].metadata["TIMECODE"] == "01:00:00:15"


def test_chapters_and_subtitles_of_a_file_that_starts_late_stay_in_step(tmp_path: Path) -> None:
    """Matroska's clock may begin at any time, in captures for example."""
    late = rich_clip(tmp_path / "late.mkv", chapters=CHAPTERS, subtitles="subrip", late_s=10)
    assert chapters_of(late)[0][0] == 10_000
    path, warnings = convert(late, "out.mkv")
    assert (chapters_of(path), warnings) == (CHAPTERS, [])
    assert [(begin, end) for begin, end, _ in cues_of(path)] == [(200, 900), (1000, 1500)]


@pytest.mark.parametrize(
    ("source", "codec", "out", "stored"),
    [
        (".mp4", "mov_text", ".mp4", "mov_text"),
        (".mp4", "mov_text", ".mov", "mov_text"),
        (".mp4", "mov_text", ".mkv", "subrip"),
        (".mp4", "mov_text", ".webm", "webvtt"),
        (".mkv", "subrip", ".mp4", "mov_text"),
        (".mkv", "subrip", ".mkv", "subrip"),
        (".mkv", "ass", ".mkv", "ass"),
        (".mkv", "ass", ".webm", "webvtt"),
        (".mkv", "ass", ".mov", "mov_text"),
        (".webm", "webvtt", ".webm", "webvtt"),
        (".webm", "webvtt", ".mp4", "mov_text"),
    ],
)
def test_subtitles_are_copied_or_converted(tmp_path: Path, source: str, codec: str, out: str, stored: str) -> None:
    clip = rich_clip(tmp_path / f"in{source}", subtitles=codec)
    path, warnings = convert(clip, f"out{out}")
    assert warnings == []
    cues = cues_of(path)
    assert [(begin, end) for begin, end, _ in cues] == [(200, 900), (1000, 1500)]
    assert [text for *_, text in cues] == ["Hallo {\\i1}Welt{\\i0}\\Nzwei", "Ende ü"] or stored == "mov_text"
    assert [text.replace("{\\i1}", "").replace("{\\i0}", "").replace("{\\r}", "") for *_, text in cues] == [
        "Hallo Welt\\Nzwei",
        "Ende ü",
    ]
    with av.open(str(path)) as container:
        (track,) = container.streams.subtitles
        assert track.codec_context.codec.canonical_name == stored
        assert track.metadata["language"] == ("ger" if out == ".mov" else "deu")
        assert "Deutsch" in (track.metadata.get("title"), track.metadata.get("name"))
        assert out != ".mkv" or track.disposition & av.stream.Disposition.forced


@pytest.mark.parametrize(("suffix", "language"), [(".mp4", "deu"), (".mov", "ger"), (".mkv", "deu"), (".webm", "deu")])
def test_tracks_keep_language_and_title(tmp_path: Path, suffix: str, language: str) -> None:
    clip = write_video(tmp_path / "in.mkv", (numbered(n) for n in range(6)), sound_s=0.2)
    named = tmp_path / "named.mkv"
    with av.open(str(clip)) as container, av.open(str(named), "w") as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in container.streams}
        for index, stream in streams.items():
            stream.metadata.update({"language": "deu", "title": f"Spur {index}", "encoder": "x", "BPS": "1"})
        for packet in container.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    path, _ = convert(named, f"out{suffix}")
    with av.open(str(path)) as container:
        for index, kind in enumerate(("video", "audio")):
            tags = getattr(container.streams, kind)[0].metadata
            assert tags["language"] == language
            assert f"Spur {index}" in (tags.get("title"), tags.get("name"))
            if suffix in (".mp4", ".mov"):  # FFmpeg's older programs and mpv read only this one
                assert tags["handler_name"] == f"Spur {index}"
            assert "BPS" not in tags


def broadcast(path: Path) -> Path:
    """Three sound tracks, in Spanish, French and English, of which the second announced one never begins."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        tracks = [out.add_stream("mp2", rate=48_000) for _ in range(3)]
        for track, language in zip(tracks, ("spa", "fra", "eng"), strict=True):
            track.codec_context.layout = av.AudioLayout("mono")
            track.metadata["language"] = language
        for n in range(12):
            picture = av.VideoFrame.from_ndarray(numbered(n), format="rgb24")
            picture.pts = n
            out.mux(video.encode(picture))
            for track in (tracks[0], tracks[2]):
                samples = av.AudioFrame.from_ndarray(np.zeros((1, 1920), np.int16), format="s16", layout="mono")
                samples.sample_rate, samples.pts = 48_000, n * 1920
                out.mux(track.encode(samples))
        out.mux(video.encode(None))
    return path


@pytest.mark.parametrize("how", ["whole", "joined"])
@pytest.mark.parametrize("suffix", CONTAINERS)
def test_a_track_that_is_left_out_moves_no_language(tmp_path: Path, suffix: str, how: str) -> None:
    clip, out = broadcast(tmp_path / "in.ts"), tmp_path / f"out{suffix}"
    if how == "whole":
        _, warnings = convert(clip, out.name)
    else:
        warnings = convert_in_parts(clip, out)
    assert ("sound_left_out", "sound track 2 holds nothing that can be decoded; it was left out") in warnings
    with av.open(str(out)) as container:
        assert [track.metadata["language"] for track in container.streams.audio] == ["spa", "eng"]


def convert_in_parts(clip: Path, out: Path) -> Warnings:
    """As jobs do: the frames are one part, and the join adds everything else."""
    chosen, part = ENCODINGS[out.suffix], Part(out.with_name("0.part"), 0)
    with closing(FileSource(clip, SETTINGS)) as source:
        sink = open_segment(part.path, chosen, False, SETTINGS)
        sink.open(replace(source.info, sound=(), extras=None))
        for item in source:
            if isinstance(item, Frame):
                sink.write(item)
        sink.close()
    with closing(FileSource(clip, SETTINGS)) as source:
        sound = [item for item in source if not isinstance(item, Frame)]
        return join([part], source.info, sound, out, chosen, SETTINGS)


def test_attachments_and_the_cover_stay_in_matroska_and_are_reported_elsewhere(tmp_path: Path) -> None:
    font = ("../../etc/font.ttf", "application/x-truetype-font", b"\0\1\0\0" + b"x" * 1000)
    clip = rich_clip(tmp_path / "in.mkv", attachments=[font, ("cover.jpg", "image/jpeg", rich_clips.jpeg())])
    path, warnings = convert(clip, "out.mkv")
    assert warnings == []
    assert attachments_of(path) == {"font.ttf": font[2]}
    assert covers_of(path) == [rich_clips.jpeg()]
    path, warnings = convert(clip, "out.mp4")
    assert warnings == [("no_attachments", "MP4 (H.264) holds no attachments; those of the video (1) were left out")]
    assert covers_of(path) == [rich_clips.jpeg()]
    assert [code for code, _ in convert(clip, "out.webm")[1]] == ["no_attachments", "no_cover"]


def test_a_cover_is_kept_from_mp4_to_mp4_and_matroska(tmp_path: Path) -> None:
    clip = rich_clip(tmp_path / "in.mp4", {"title": "Song"}, cover=True)
    for out in ("out.mp4", "out.mkv"):
        path, warnings = convert(clip, out)
        assert (covers_of(path), warnings, tags_of(path)) == ([rich_clips.jpeg()], [], {"title": "Song"})
    assert [code for code, _ in convert(clip, "out.mov")[1]] == ["no_cover"]


def test_mp4_holds_a_cover_only_together_with_common_tags(tmp_path: Path) -> None:
    cover = [("cover.jpg", "image/jpeg", rich_clips.jpeg())]
    clip = rich_clip(tmp_path / "in.mkv", PHONE, attachments=cover)
    path, warnings = convert(clip, "out.mp4")
    lost = "MP4 (H.264) cannot hold the video's cover picture together with its other metadata; it was left out"
    assert warnings == [("no_cover", lost)]
    assert tags_of(path)["model"] == "iPhone 12"


def test_chapters_and_subtitles_of_one_file_are_not_confused(tmp_path: Path) -> None:
    """MP4 stores both in text tracks."""
    chapters = [(n * 5, n * 5 + 5, f"c{n}") for n in range(400)]
    clip = rich_clip(tmp_path / "in.mp4", chapters=chapters, subtitles="mov_text")
    for out in ("out.mp4", "out.mkv"):
        path, warnings = convert(clip, out)
        assert (chapters_of(path), warnings) == (chapters, [])
        assert [(begin, end) for begin, end, _ in cues_of(path)] == [(200, 900), (1000, 1500)]
    with av.open(str(clip.with_name("out.mkv"))) as container:
        assert len(container.streams.subtitles) == 1


def test_data_of_cameras_is_copied_or_its_loss_reported(tmp_path: Path) -> None:
    clip = rich_clips.camera_clip(tmp_path / "in.mp4")
    before = data_of(clip)
    assert [time for time, _ in before] == [200, 1000]
    for out in ("out.mp4", "out.mov"):
        path, warnings = convert(clip, out)
        assert (data_of(path), warnings) == (before, [])
    path, warnings = convert(clip, "out.mkv")
    assert warnings == [
        ("no_data", "MKV (FFV1, lossless) cannot hold these data tracks of the video (Deutsch); they were left out")
    ]
    assert data_of(convert(clip, "private.mp4", Metadata.NO_LOCATION)[0]) == []


def test_data_that_no_container_holds_is_reported(tmp_path: Path) -> None:
    clip = rich_clip(tmp_path / "in.ts", data="klv")
    assert [code for code, _ in convert(clip, "out.mp4")[1]] == ["no_data"]


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_timecodes_are_tracks_of_mp4_and_mov(tmp_path: Path, suffix: str) -> None:
    clip = rich_clip(tmp_path / "in.mov", timecode="09:59:59:20")
    path, warnings = convert(clip, f"out{suffix}", start_s=0.5)
    assert warnings == []
    with av.open(str(path)) as container:
        assert [s.metadata["timecode"] for s in container.streams.data] == ["10:00:00:05"]


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_without_location_everything_else_is_kept(phone: Path, suffix: str) -> None:
    path, warnings = convert(phone, f"private{suffix}", Metadata.NO_LOCATION)
    tags = tags_of(path)
    assert warnings == []
    assert tags["title"] == "Holiday"
    assert tags["make"] == "Apple"
    assert chapters_of(path) == CHAPTERS
    assert b"48.2082" not in path.read_bytes()
    assert b"loci" not in path.read_bytes()


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_drop_leaves_only_what_players_need(tmp_path: Path, suffix: str) -> None:
    codec = {".mkv": "subrip", ".webm": "webvtt"}.get(suffix, "mov_text")
    clip = rich_clip(tmp_path / f"in{suffix}", PHONE, chapters=CHAPTERS, subtitles=codec, timecode="01:00:00:00")
    path, warnings = convert(clip, f"out{suffix}", Metadata.DROP)
    assert (warnings, tags_of(path), chapters_of(path)) == ([], {}, [])
    assert len(cues_of(path)) == 2
    content = path.read_bytes()
    for text in (b"Holiday", b"48.2082", b"iPhone", b"Zwei", b"Kamera", b"Deutsch", b"2020", b"tmcd", b"01:00:00"):
        assert text not in content, text


def test_subtitles_of_drones_lose_the_cues_with_positions(tmp_path: Path) -> None:
    cues = [(0, 500, "GPS(16.3738,48.2082,19)"), (500, 1000, "ISO 100"), (1000, 1500, "[latitude: 48.2082]")]
    clip = rich_clip(tmp_path / "in.mkv", subtitles="subrip", cues=cues)
    assert [text for *_, text in cues_of(convert(clip, "all.mkv")[0])] == [text for *_, text in cues]
    assert [text for *_, text in cues_of(convert(clip, "private.mp4", Metadata.NO_LOCATION)[0])] == ["ISO 100"]


@pytest.mark.parametrize(("out", "label"), [("out.gif", "GIF"), ("pictures", "PNG sequence")])
def test_formats_without_metadata_report_what_is_lost(phone: Path, out: str, label: str) -> None:
    _, warnings = convert(phone, out)
    assert warnings == [
        ("no_metadata", f"{label} holds no metadata; the title, date of recording and location were left out"),
        ("no_chapters", f"{label} holds no chapters; those of the video (2) were left out"),
    ]


def test_the_loss_of_tags_of_the_encoding_is_not_reported(tmp_path: Path) -> None:
    clip = rich_clip(tmp_path / "in.mkv", {"encoder": "x", "software": "y"})
    warnings: Warnings = convert(clip, "out.gif")[1]
    assert warnings == []
