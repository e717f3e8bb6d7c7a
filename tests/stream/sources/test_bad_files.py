"""Files that are damaged, truncated, malicious or over a limit: decoded as far as possible, with one-line errors."""

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from stream.errors import InputError, NoVideoStream, TooLarge, UnreadableMedia
from stream.picture.ingest import Ingest
from stream.settings import Settings
from stream.sources.file import FileSource
from tests.media import drain, numbered, numbered_clip, read, write_video

INTRA = {"g": "1", "bf": "0"}


@pytest.mark.parametrize(
    "content",
    [b"", b"just some text\n" * 40, bytes(range(256)) * 40, b"RIFF\x00\x00\x00\x00AVI LIST"],
    ids=["empty", "text", "noise", "stub"],
)
def test_files_that_are_not_videos_give_a_one_line_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    with pytest.raises(UnreadableMedia) as caught:
        FileSource(path, Settings())
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("part", [0.5, 0.7, 0.9])
def test_fragments_that_were_cut_off_are_reported(tmp_path: Path, part: float) -> None:
    """Such a file does not state its length."""
    fragments = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    clip = numbered_clip(tmp_path / "in.mp4", 90, sound_s=3.0, options={"g": "15", "bf": "0"}, muxing=fragments)
    assert drain(clip)[1] == []
    clip.write_bytes(clip.read_bytes()[: round(clip.stat().st_size * part)])
    frames, codes = drain(clip)
    assert 30 < len(frames) < 90
    assert "truncated" in codes


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableMedia, match="does not exist"):
        FileSource(tmp_path / "none.mp4", Settings())
    with pytest.raises(UnreadableMedia, match="is a folder, not a video"):
        FileSource(tmp_path, Settings())


def test_an_mp4_without_its_index_is_unreadable(tmp_path: Path) -> None:
    path = numbered_clip(tmp_path / "a.mp4", 60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableMedia):
        FileSource(path, Settings())


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.mp4"])
def test_a_truncated_file_is_decoded_with_a_warning(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    images = (np.random.default_rng(n).integers(0, 256, (48, 64, 3), np.uint8) for n in range(90))
    write_video(path, images, options=INTRA)
    if name.endswith("mp4"):
        _move_index_to_front(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames, warnings = drain(path)
    assert 30 <= len(frames) <= 60
    assert "truncated" in warnings


def _move_index_to_front(path: Path) -> None:
    with (
        av.open(str(path)) as source,
        av.open(str(path) + ".fast", "w", format="mp4", options={"movflags": "+faststart"}) as out,
    ):
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    Path(str(path) + ".fast").replace(path)


def damaged(tmp_path: Path, every: int) -> Path:
    """A clip whose picture data has one byte in `every` changed."""
    path = tmp_path / "damaged.mp4"
    write_video(
        path, (np.random.default_rng(n).integers(0, 256, (96, 128, 3), np.uint8) for n in range(40)), options=INTRA
    )
    content = bytearray(path.read_bytes())
    start, size = (
        content.index(b"mdat") + 4,
        struct.unpack(">I", content[content.index(b"mdat") - 4 : content.index(b"mdat")])[0],
    )
    for at in range(start + 400, start + size - 8, every):
        content[at] ^= 0xFF
    path.write_bytes(content)
    return path


def test_flipped_bits_give_a_warning(tmp_path: Path) -> None:
    clean_size = damaged(tmp_path, 10**9).stat().st_size
    frames, warnings = drain(damaged(tmp_path, clean_size // 6))
    assert len(frames) >= 35
    assert any(f.damaged for f in frames)
    assert "damaged" in warnings


def test_a_file_with_too_many_damaged_frames_fails(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"damaged|not a single frame"):
        drain(damaged(tmp_path, 211), Settings(max_decode_errors=0.3))


def test_audio_alone_is_not_a_video(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48_000, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with pytest.raises(NoVideoStream, match="has only sound"):
        FileSource(path, Settings())


def test_subtitles_alone_are_not_a_video(tmp_path: Path) -> None:
    text, path = tmp_path / "a.srt", tmp_path / "subs.mkv"
    text.write_text("1\n00:00:00,000 --> 00:00:02,000\nhello\n")
    with av.open(str(text)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.subtitles[0])
        for packet in source.demux():
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    with pytest.raises(NoVideoStream, match="only subtitle"):
        FileSource(path, Settings())


def test_cover_art_is_not_a_video(tmp_path: Path) -> None:
    path = tmp_path / "cover.mp4"
    with av.open(str(path), "w") as out:
        sound = out.add_stream("aac", rate=48_000)
        art = out.add_stream("png", rate=1)
        art.width, art.height, art.pix_fmt = 64, 48, "rgb24"
        art.disposition = av.stream.Disposition.attached_pic
        out.mux(art.encode(av.VideoFrame.from_ndarray(numbered(1), format="rgb24")))
        for n in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48_000, n * 1024
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    with pytest.raises(NoVideoStream, match="cover art"):
        FileSource(path, Settings())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.mp4", "ffconcat version 1.0\nfile '{victim}'\n"),
        ("a.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{victim}\n#EXT-X-ENDLIST\n"),
        ("b.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{victim}\n#EXT-X-ENDLIST\n"),
        ("a.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"),
        ("a.mpd", '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{victim}</BaseURL></MPD>'),
    ],
)
def test_scripts_and_playlists_are_refused(tmp_path: Path, name: str, text: str) -> None:
    victim = numbered_clip(tmp_path / "victim.mp4", 3)
    path = tmp_path / name
    path.write_text(text.format(victim=victim))
    with pytest.raises(UnreadableMedia):
        FileSource(path, Settings())


@pytest.mark.parametrize("name", ["concat:a|b.mp4", "http:example.mp4", "-o.mp4", "emoji 🎬 'quoted'.mp4", "a%05d.mp4"])
def test_unusual_file_names_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    numbered_clip(tmp_path / "plain.mp4", 3).rename(path)
    assert len(read(path)) == 3


def test_limits_are_checked_before_decoding(tmp_path: Path) -> None:
    path = numbered_clip(tmp_path / "a.mp4", 40)
    for settings, word in [
        (Settings(max_pixels=1000), "64x48"),
        (Settings(max_frames=39), "40 frames"),
        (Settings(max_duration_s=1.0), "lasts"),
    ]:
        with pytest.raises(TooLarge, match=word):
            FileSource(path, settings)


def test_limits_are_checked_while_decoding_when_the_header_has_no_length(tmp_path: Path) -> None:
    path = numbered_clip(tmp_path / "a.ts", 40)
    with pytest.raises(TooLarge, match="more than 30 frames"):
        drain(path, Settings(max_frames=30))


def test_a_huge_size_in_a_tiny_file_is_refused_by_its_header(tmp_path: Path) -> None:
    path = write_video(tmp_path / "bomb.gif", [numbered(1)] * 2, codec="gif", pix_fmt="rgb8")
    content = bytearray(path.read_bytes())
    content[6:10] = struct.pack("<HH", 12_000, 12_000)
    path.write_bytes(content)
    assert len(content) < 10_000
    with pytest.raises(TooLarge, match="36,000,000 pixels"):
        FileSource(path, Settings())


def test_an_invalid_duration_tag_is_ignored(tmp_path: Path) -> None:
    path = numbered_clip(tmp_path / "a.mkv", 30, codec="ffv1")
    content = path.read_bytes()
    assert content.count(b"00:00:01.0") == 1
    path.write_bytes(content.replace(b"00:00:01.0", b"xx:$(id)!!"))
    assert len(read(path)) == 30


def test_a_stream_that_grows_past_the_limit_is_refused(tmp_path: Path) -> None:
    """The header says 64x48; the second half is 640x480."""
    small, large = numbered_clip(tmp_path / "s.ts", 20), numbered_clip(tmp_path / "l.ts", 20, 640, 480)
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    assert len(read(both)) > 20
    with pytest.raises(InputError):
        drain(both, Settings(max_pixels=5000, max_decode_errors=0.3))


@pytest.mark.parametrize("size", [(640, 480), (99_999_998, 2)])
def test_a_size_over_the_limit_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(TooLarge):
        FileSource(numbered_clip(tmp_path / "a.mp4", 3), Settings(max_pixels=5000), size=size)


def test_damage_stays_with_its_frame_through_filters_with_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.picture.display_matrix._stored", lambda frame: None)  # PyAV reads real frames only
    frames = []
    for n in range(6):
        picture = av.VideoFrame.from_ndarray(np.full((72, 64), 60 + n, np.uint8), format="yuv420p")
        picture.pts, picture.time_base = n, Fraction(1, 25)
        frames.append(picture)

    class Interlaced:
        """For bwdif, which delays by one frame. Marks frames as damaged, which else only FFmpeg's decoders can."""

        def __init__(self, picture: av.VideoFrame) -> None:
            self.picture, self.is_corrupt, self.interlaced_frame = picture, picture.pts == 3, True

        def __getattr__(self, name: str) -> Any:
            return getattr(self.picture, name)

    chain = Ingest(Interlaced(frames[0]))  # type: ignore[arg-type]
    assert chain._picture is not None
    push = chain._picture.push
    chain._picture.push = lambda frame: push(getattr(frame, "picture", frame))  # type: ignore[method-assign]
    out = [f for picture in frames for f in chain.push(Interlaced(picture))] + list(chain.flush())  # type: ignore[arg-type]
    assert [round(f.time_s * 25) for f in out if f.damaged] == [3]
    assert len(out) == 6
