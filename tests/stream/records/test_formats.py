"""The table of formats is complete and matches the encoders."""

import subprocess
import sys
from typing import get_args

import pytest

from stream.errors import UnsupportedOutput
from stream.records.formats import DEFAULT, FORMATS, NAMES, FormatName, OutputFormat, check_alpha
from stream.records.jobs import Output
from stream.sinks import encodings as encoders


def test_the_table_has_every_format_name_and_starts_with_the_default() -> None:
    assert tuple(FORMATS) == get_args(FormatName)
    assert next(iter(FORMATS)) == DEFAULT == Output().format
    assert all(kind.name == name for name, kind in FORMATS.items())


@pytest.mark.parametrize("kind", FORMATS.values(), ids=FORMATS)
def test_the_encoders_match_the_table(kind: OutputFormat) -> None:
    encoder = encoders.ENCODINGS[kind.suffix]
    assert encoder.kind is kind
    assert bool(encoder.alpha_pix_fmt) is kind.transparent
    assert (not encoder.container) is kind.pictures
    assert not FORMATS[kind.matte].pictures


def test_every_format_has_an_encoder() -> None:
    assert len(encoders.ENCODINGS) == len(FORMATS) == len({kind.suffix for kind in FORMATS.values()})


def test_mime_types_and_suffixes_are_unique() -> None:
    assert len({kind.mime for kind in FORMATS.values()}) == len({kind.result_suffix for kind in FORMATS.values()}) == 6
    assert FORMATS["png"].result_suffix == ".zip"
    assert NAMES == ".mp4 .webm .mov .mkv .gif, a folder or %05d.png"


def test_an_opaque_format_is_refused_with_a_list_of_transparent_ones() -> None:
    for kind in FORMATS.values():
        if kind.transparent:
            check_alpha(kind)
    message = r"MP4 \(H.264\) does not support transparency; .*\.webm \(WebM \(VP9\)\).*\.png"
    with pytest.raises(UnsupportedOutput, match=message):
        check_alpha(FORMATS["mp4"])


def test_the_table_imports_no_media_library() -> None:
    code = "import sys, stream.records.formats, stream.storage.keys; sys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
