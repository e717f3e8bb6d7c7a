"""Files with hostile tags, chapters and attachments: numbers and sizes are limited, texts are cleaned."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from stream import limits
from stream.picture.extras import Extras
from stream.records.metadata import Metadata
from stream.settings import Settings
from stream.sources.file import FileSource
from stream.sources.tags import file_tags, track_tags
from tests.media import numbered, write_video
from tests.rich_clips import rich_clip


def extras_of(path: Path, metadata: Metadata = Metadata.KEEP) -> tuple[Extras, list[str]]:
    source = FileSource(path, Settings(), metadata=metadata)
    source.close()
    assert source.info.extras is not None
    return source.info.extras, [sentence for code, sentence in source.warnings if code == "metadata_limit"]


_ENCODING = (
    "ENCODER encoder Encoder encoding_tool major_brand compatible_brands rotate DURATION BPS BPS-eng NUMBER_OF_FRAMES",
    "NUMBER_OF_BYTES _STATISTICS_TAGS _STATISTICS_WRITING_DATE_UTC iTunSMPB hasVideo canSeekToEnd lasttimestamp",
    "material_package_umid WMFSDKVersion vendor_id handler_name",
)


@pytest.mark.parametrize("name", [name for line in _ENCODING for name in line.split()])
def test_tags_of_the_encoding_are_left_out(name: str) -> None:
    assert file_tags({name: "1", "title": "kept"}, location=True) == ({"title": "kept"}, 0)


def test_names_of_ffmpeg_are_left_out() -> None:
    assert file_tags({"software": "Lavf60.3.100", "title": "A"}, location=True) == ({"title": "A"}, 0)
    assert file_tags({"software": "14.1"}, location=True) == ({"software": "14.1"}, 0)


def test_ogg_stores_the_tags_of_the_file_in_its_tracks(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "in.mkv", (numbered(n) for n in range(6)), codec="libvpx", sound_s=0.2)
    ogg = tmp_path / "in.ogv"
    with av.open(str(clip)) as container, av.open(str(ogg), "w", format="ogg") as out:
        stream = out.add_stream_from_template(container.streams.video[0])
        stream.metadata.update({"title": "Holiday", "ARTIST": "Ada"})
        for packet in container.demux(container.streams.video[0]):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    extras, _ = extras_of(ogg)
    assert extras.tags == {"title": "Holiday", "artist": "Ada"}
    assert not any("title" in tags for tags in extras.track_tags.values())


def test_texts_are_cleaned() -> None:
    found = {"TITLE": " a\0b\x07c\r\nd\u202e ", "Bad\nName": "x", "": "y", "a=b": "z", "comment": "\x00"}
    assert file_tags(found, location=True) == ({"title": "abc\nd\u202e", "Bad Name": "x"}, 0)


def test_long_and_many_tags_are_counted() -> None:
    found = {f"tag{n}": "x" for n in range(limits.TAGS + 5)} | {"x" * 5000: "y"}
    tags, excess = file_tags({"comment": "x" * (limits.TAG_TEXT + 1)} | found, location=True)
    assert (len(tags), excess) == (limits.TAGS, 6)


def test_a_tag_name_with_a_language_is_not_a_separate_tag() -> None:
    found = {"title": "A", "title-eng": "A", "title-deu": "B"}
    assert file_tags(found, location=True) == ({"title": "A", "title-deu": "B"}, 0)


def test_locations_are_removed_by_name_and_by_text() -> None:
    found = {"location-eng": "x", "©xyz": "y", "comment": "at +48.2082+016.3738/", "title": "Vienna", "make": "DJI"}
    assert file_tags(found, location=False) == ({"title": "Vienna", "make": "DJI"}, 0)
    assert track_tags({"title": "GPS 48.2, 16.3"}, ("title",), location=False) == {}


def test_the_location_of_apple_is_also_the_plain_one() -> None:
    tags, _ = file_tags({"COM.APPLE.QUICKTIME.LOCATION.ISO6709": "+48+016/"}, location=True)
    assert tags == {"com.apple.quicktime.location.ISO6709": "+48+016/", "location": "+48+016/"}


def test_text_that_is_not_utf_8_is_read(tmp_path: Path) -> None:
    clip = rich_clip(tmp_path / "in.mkv", {"title": "caf#"}, frames=4)
    clip.write_bytes(clip.read_bytes().replace(b"caf#", b"caf\xe9"))
    assert extras_of(clip)[0].tags == {"title": "caf\ufffd"}


def test_chapters_are_limited_and_end_with_the_video(tmp_path: Path) -> None:
    many = [(n, n + 1, f"c{n}") for n in range(limits.CHAPTERS + 10)]
    extras, warnings = extras_of(rich_clip(tmp_path / "many.mkv", chapters=many))
    assert len(extras.chapters) == limits.CHAPTERS
    assert warnings == ["the file has 1,010 chapters; the first 1,000 were kept"]
    odd = [(0, 0, "a\nb"), (700, 700, "back"), (1500, 2**30, "x" * 1000), (2**30, 2**31, "late")]
    extras, _ = extras_of(rich_clip(tmp_path / "odd.mkv", chapters=odd))
    assert [(c.start_s, c.end_s, c.title) for c in extras.chapters] == [
        (0, Fraction(7, 10), "a b"),
        (Fraction(7, 10), Fraction(3, 2), "back"),
        (Fraction(3, 2), 2, "x" * limits.CHAPTER_TITLE),
    ]


@pytest.mark.parametrize("count", [2, 200, limits.CHAPTERS + 10])
def test_the_text_track_of_chapters_is_not_a_subtitle_track(tmp_path: Path, count: int) -> None:
    """FFmpeg reads up to 255 chapters from another place, and then takes the track for subtitles."""
    clip = rich_clip(tmp_path / "in.mp4", chapters=[(n, n + 1, f"c{n}") for n in range(count)])
    extras, _ = extras_of(clip)
    assert extras.tracks == ()
    assert len(extras.chapters) == min(count, limits.CHAPTERS)


def test_attachments_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ATTACHMENT_BYTES", 2500)
    fonts = [(f"C:\\fonts\\.{n}.ttf", "font/ttf", bytes(1000)) for n in range(4)]
    extras, warnings = extras_of(rich_clip(tmp_path / "in.mkv", attachments=fonts, frames=4))
    assert [(each.name, len(each.content)) for each in extras.attachments] == [("0.ttf", 1000), ("1.ttf", 1000)]
    assert warnings == ["the attachments exceed the limits; some were left out"]


def test_without_locations_only_fonts_stay_attached(tmp_path: Path) -> None:
    fonts = ["application/x-truetype-font", "application/vnd.ms-opentype", "font/otf"]
    files = [(f"{n}.ttf", mime, b"font") for n, mime in enumerate(fonts)] + [("track.gpx", "text/xml", b"<gpx/>")]
    clip = rich_clip(tmp_path / "in.mkv", attachments=files, frames=4)
    for metadata in (Metadata.NO_LOCATION, Metadata.DROP):
        assert [each.name for each in extras_of(clip, metadata)[0].attachments] == ["0.ttf", "1.ttf", "2.ttf"]
    assert len(extras_of(clip)[0].attachments) == 4


def test_tracks_of_subtitles_and_data_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SIDE_TRACKS", 1)
    clip = rich_clip(tmp_path / "in.ts", data="klv", subtitles="dvb_subtitle", cues=(), frames=4)
    with av.open(str(clip)) as container:
        assert len(container.streams) == 3
    extras, warnings = extras_of(clip)
    assert len(extras.tracks) == 1
    assert warnings == ["the file has more than 1 tracks of subtitles and data; the others were left out"]
