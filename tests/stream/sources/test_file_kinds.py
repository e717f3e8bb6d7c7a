"""Files that are not videos are called what they are."""

import re
import zipfile
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from PIL import Image

from stream.errors import InputError, NoVideoStream, UnreadableMedia
from stream.settings import Settings
from stream.sources.demuxers import SUPPORTED
from stream.sources.file import FileSource
from tests.media import numbered, numbered_clip, write_video

PLAYLIST = "is a playlist, not a video: it names other files, which are not opened"


def message(path: Path, kind: type[Exception] = UnreadableMedia) -> str:
    """The error message about the file, without its name."""
    with pytest.raises(kind) as caught:
        FileSource(path, Settings())
    assert type(caught.value) is kind
    text = str(caught.value)
    assert text.startswith(f"{path} ")
    return text.removeprefix(f"{path} ")


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp3", "libmp3lame"), ("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.aac", "aac"), ("a.m4a", "aac")],
)
def test_sound(tmp_path: Path, name: str, codec: str) -> None:
    with av.open(str(tmp_path / name), "w") as container:
        stream = cast(av.AudioStream, container.add_stream(codec, rate=44100))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.int16), format="s16", layout="mono")
        frame.rate = 44100
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    assert message(tmp_path / name, NoVideoStream) == "has only sound, no video"


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tiff"])
def test_pictures(tmp_path: Path, suffix: str) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / f"a.{suffix}")
    assert message(tmp_path / f"a.{suffix}") == "is a picture, not a video"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "is a picture, not a video"),
        (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj", "is a PDF document, not a video"),
        (b"<!DOCTYPE html><html>", "is a web page, not a video; perhaps a download failed"),
        (
            b"#EXTM3U\nhttp://host/a.ts\n",
            PLAYLIST,
        ),
        (b"MZ is how this text begins, and a tab:\t\xc3\xa9\n" * 200, "is text, not a video"),
        (b"<ASX version='3.0'><entry/></ASX>", PLAYLIST),
        (b"ffconcat version 1.0\nfile a.mp4\n", PLAYLIST),
        (b"<?xml version='1.0'?>\n<MPD xmlns='urn:mpeg:dash:schema:mpd:2011'/>", PLAYLIST),
        (
            b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
            "describes a network stream (SDP) and contains no video",
        ),
        (
            b"d8:announce35:http://tracker.example/announce13:creation date\xff",
            "is a torrent, not a video; download the video itself first",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "is a Git LFS pointer, not the video itself; fetch the video with: git lfs pull",
        ),
        (b"\xef\xbb\xbf  <!-- saved -->\n<HTML>", "is a web page, not a video; perhaps a download failed"),
        (b'{"error": "not found"}', "is text, not a video"),
        ("Zürich\r\n".encode("utf-16"), "is text, not a video"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(40), "is an Office document, not a video"),
        (b"DVDVIDEO-VMG" + bytes(40), "is an index of a DVD or Blu-ray, not a video; use its VOB or M2TS files"),
        (bytes(9000), "contains only zeros at its start; perhaps a download was not finished"),
        (b"\x1f\x8b\x08" + bytes(40), "is an archive, not a video; unpack it first"),
        (
            b"\0\0\0\x18stypmsdh\0\0\0\0msdhmsix" + bytes(40),
            "is one segment of a stream (DASH or HLS); append it to the stream's initialization segment",
        ),
        (b"\x7fELF" + bytes(40), "is a program, not a video"),
        (b"", "is empty"),
    ],
)
def test_other_files(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    assert message(tmp_path / "a.mp4") == words


@pytest.mark.parametrize(
    "content",
    ["1\n00:00:00,000 --> 00:00:02,000\nhello\n", "WEBVTT\n\n00:00.000 --> 00:02.000\nhello\n", "[Script Info]\n"],
)
def test_subtitles(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.mp4").write_text(content)
    assert message(tmp_path / "a.mp4", NoVideoStream) == "has only subtitles, no video"


def test_a_format_that_is_not_read_gets_a_list_of_those_that_are(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.swf", map(numbered, range(5)), codec="mjpeg", pix_fmt="yuvj420p", container="smjpeg"
    )
    assert message(path) == f"is not in a supported format; convert it to one of these: {SUPPORTED}"


@pytest.mark.parametrize(
    "content",
    [np.random.default_rng(1).bytes(100_000), b"BIKi" + bytes(range(256)) * 20, b"\0\0\1\xb6" * 500, b"\0\0\0\1\x67"],
)
def test_messages_of_ffmpeg_do_not_reach_the_user(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(InputError) as caught:
        FileSource(tmp_path / "a.mp4", Settings())
    assert not re.search("(?i)invalid|argument|processing input|errno", str(caught.value))


ENCRYPTION = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "00112233445566778899aabbccddeeff",
    "encryption_kid": "00112233445566778899aabbccddeeff",
}


def test_encrypted_videos(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", map(numbered, range(5)), muxing=ENCRYPTION)
    assert message(path) == "is encrypted (DRM); only a copy without this protection can be read"


def test_encrypted_windows_media(tmp_path: Path) -> None:
    """The header's object with the list of codecs is replaced by the one with the keys."""
    path = write_video(tmp_path / "a.wmv", map(numbered, range(5)), codec="wmv2", container="asf")
    codecs, keys = "4052d1861d31d011a3a400a0c90348f6", "14e68a292226174cb935dae07ee9289c"
    content = path.read_bytes()
    assert content.count(bytes.fromhex(codecs)) == 1
    path.write_bytes(content.replace(bytes.fromhex(codecs), bytes.fromhex(keys)))
    assert message(path) == "is encrypted (DRM); only a copy without this protection can be read"


def test_zip_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.mp4", "w") as file:
        file.writestr("a", "b")
    assert message(tmp_path / "a.mp4") == "is a zip file or an Office document, not a video"


def test_a_video_that_was_cut_off(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "a.mp4", 30)
    whole = clip.read_bytes()
    clip.write_bytes(whole[:1000])
    interrupted = "perhaps its recording or download was interrupted"
    assert message(clip) == f"is a video that is incomplete: its index (moov) is missing; {interrupted}"
    clip.write_bytes(whole[: whole.index(b"moov") + 40])
    assert message(clip) == f"is a video that is incomplete: its index (moov) is cut off; {interrupted}"


def test_names_without_a_file(tmp_path: Path) -> None:
    (tmp_path / "link.mp4").symlink_to("nowhere")
    assert message(tmp_path / "link.mp4") == "is a link to a file that does not exist"
    assert message(tmp_path / "none.mp4") == "does not exist"
    assert message(tmp_path) == "is a folder, not a video"
    assert message(Path("/dev/null")) == "is not a regular file"
