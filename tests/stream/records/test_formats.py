"""The table of formats is complete and matches the encoders."""

import subprocess
import sys
from typing import get_args

import pytest

from stream.errors import UnsupportedOutput
from stream.records.formats import (
    DEFAULT,
    FORMATS,
    NAMES,
    PICTURE_DEFAULT,
    FormatName,
    OutputFormat,
    check_alpha,
    for_input,
    still_for,
)
from stream.records.jobs import Output
from stream.sinks import encodings as encoders
from stream.sinks import picture as picture_encoders


def test_the_table_has_every_format_name_and_starts_with_the_default() -> None:
    assert tuple(FORMATS) == get_args(FormatName)
    assert next(iter(FORMATS)) == DEFAULT == Output().format
    assert all(kind.name == name for name, kind in FORMATS.items())


VIDEOS = {name: kind for name, kind in FORMATS.items() if not kind.still}
STILLS = {name: kind for name, kind in FORMATS.items() if kind.still}


@pytest.mark.parametrize("kind", VIDEOS.values(), ids=VIDEOS)
def test_the_encoders_match_the_table(kind: OutputFormat) -> None:
    encoder = encoders.ENCODINGS[kind.suffix]
    assert encoder.kind is kind
    assert bool(encoder.alpha_pix_fmt) is kind.transparent
    assert (not encoder.container) is kind.pictures
    assert not FORMATS[kind.matte].pictures


def test_every_format_has_one_encoder() -> None:
    assert len(encoders.ENCODINGS) == len(VIDEOS) == len({kind.suffix for kind in VIDEOS.values()})
    assert list(picture_encoders.ENCODINGS) == list(STILLS)
    assert all(encoding.kind is STILLS[name] for name, encoding in picture_encoders.ENCODINGS.items())


def test_formats_of_pictures() -> None:
    suffixes = [suffix for kind in STILLS.values() for suffix in (kind.suffix, *kind.aliases)]
    assert len(set(suffixes)) == len(suffixes)
    assert still_for(".jpeg") is FORMATS["jpg"]
    assert still_for(".mp4") is None
    assert next(iter(STILLS)) == PICTURE_DEFAULT
    assert all(FORMATS[kind.matte].still for kind in STILLS.values())


def test_a_format_must_fit_the_input() -> None:
    assert for_input(FORMATS["png"], still=True) is FORMATS["png-picture"], "a sequence of one picture"
    assert for_input(FORMATS["png"], still=False) is FORMATS["png"]
    assert for_input(FORMATS["webp"], still=True) is FORMATS["webp"]
    with pytest.raises(UnsupportedOutput, match="the input is a picture, and GIF is for video"):
        for_input(FORMATS["gif"], still=True)
    with pytest.raises(UnsupportedOutput, match="the input is a video, and WebP is for one picture"):
        for_input(FORMATS["webp"], still=False)


def test_mime_types_and_suffixes_are_unique() -> None:
    assert len({kind.mime for kind in FORMATS.values()}) == len({kind.result_suffix for kind in FORMATS.values()}) == 11
    assert FORMATS["png"].result_suffix == ".zip"
    videos = ".mp4 .webm .mov .mkv .gif, a folder, %05d.png, %05d.tif or %05d.exr for a video"
    assert f"{videos}; .png .jpg .webp .tif .avif for a picture" == NAMES


def test_an_opaque_format_is_refused_with_a_list_of_transparent_ones() -> None:
    for kind in FORMATS.values():
        if kind.transparent:
            check_alpha(kind)
    message = r"MP4 \(H.264\) does not support transparency; .*\.webm \(WebM \(VP9\)\).*\.png \(PNG sequence\)$"
    with pytest.raises(UnsupportedOutput, match=message):
        check_alpha(FORMATS["mp4"])


def test_the_table_imports_no_media_library() -> None:
    code = "import sys, stream.records.formats, stream.storage.keys; sys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
