"""The table of formats: complete, and what is said of each is so."""

import subprocess
import sys
from typing import get_args

import pytest

from stream.errors import UnsupportedOutput
from stream.records.formats import DEFAULT, FORMATS, NAMES, FormatName, OutputFormat, check_alpha
from stream.records.jobs import Output
from stream.sinks import formats as encoders


def test_the_table_has_what_requests_may_name_and_begins_with_the_default() -> None:
    assert tuple(FORMATS) == get_args(FormatName)
    assert next(iter(FORMATS)) == DEFAULT == Output().format
    assert all(kind.name == name for name, kind in FORMATS.items())


@pytest.mark.parametrize("kind", FORMATS.values(), ids=FORMATS)
def test_the_encoders_hold_what_the_table_says(kind: OutputFormat) -> None:
    encoder = encoders.FORMATS[kind.suffix]
    assert encoder.kind is kind
    assert bool(encoder.alpha_pix_fmt) is kind.transparent
    assert (not encoder.container) is kind.pictures
    assert not FORMATS[kind.matte].pictures


def test_there_is_an_encoder_for_each() -> None:
    assert len(encoders.FORMATS) == len(FORMATS) == len({kind.suffix for kind in FORMATS.values()})


def test_no_two_results_look_alike() -> None:
    assert len({kind.mime for kind in FORMATS.values()}) == len({kind.result_suffix for kind in FORMATS.values()}) == 6
    assert FORMATS["png"].result_suffix == ".zip"
    assert NAMES == ".mp4 .webm .mov .mkv .gif, a folder or %05d.png"


def test_transparency_names_the_formats_that_have_it() -> None:
    for kind in FORMATS.values():
        if kind.transparent:
            check_alpha(kind)
    with pytest.raises(UnsupportedOutput, match=r"MP4 \(H.264\) cannot .*\.webm \(WebM \(VP9\)\).*\.png"):
        check_alpha(FORMATS["mp4"])


def test_reading_the_table_loads_no_media_library() -> None:
    code = "import sys, stream.records.formats, stream.storage.keys; sys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
