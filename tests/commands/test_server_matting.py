"""The request to a server to matte a camera. Nothing is sent to any server here."""

from urllib.parse import parse_qsl, urlencode

import pytest

from commands.matting_options import MattingOptions
from commands.server_matting import on_server, parameters
from stream.errors import UsageError
from stream.records.options import Edges, Options
from stream.records.subjects import specs
from tests.chooser_records import registered
from tests.commands.in_process import mattebox_here
from tests.web_server import serving


def test_options_become_parameters_that_the_server_reads() -> None:
    options = Options.read(
        engine="chroma", key="#00c83c", background="blur", temporal="off", edges=Edges(feather=2.0, refine="off"),
    )  # fmt: skip
    sent = parameters(options, "blur:0.5")
    assert sent == {
        "background": "blur:0.5", "engine": "chroma", "key": "#00c83c", "temporal": "off", "edges.feather": "2.0",
        "edges.refine": "off",
    }  # fmt: skip
    assert dict(parse_qsl(urlencode(sent))) == sent


def test_subjects_are_repeated_parameters() -> None:
    with registered():
        options = Options.read(subjects=["ann=a hat", "not:dog"], chooser="quick")
    sent = parameters(options, "blur:0.5", specs(options.subjects))
    assert parse_qsl(urlencode(sent, doseq=True)) == [
        ("background", "blur:0.5"), ("chooser", "quick"),
        ("subjects", "ann=words:a hat"), ("subjects", "removed=not:class:dog"),
    ]  # fmt: skip


@pytest.mark.parametrize("fields", [{"background": "none"}, {"view": "overlay"}, {"background": "blur:0.1"}])
def test_the_room_is_shown_only_if_it_was_asked_for(fields: dict[str, str]) -> None:
    assert parameters(Options.read(**fields), "x")["show_room"] == "true"
    assert "show_room" not in parameters(Options.read(background="green"), "x")


def test_another_server_gets_no_camera() -> None:
    """It might send the camera back as it is."""
    with serving() as origin:
        origin.files["/api/options"] = b"{}"
        with pytest.raises(UsageError, match="no Mattebox server"):
            on_server(MattingOptions(background="green"), Edges(), origin.url, "", False)
        origin.files["/api/options"] = b"<html>"
        with pytest.raises(UsageError, match="no Mattebox server"):
            on_server(MattingOptions(background="green"), Edges(), origin.url, "", False)


def test_transparency_is_refused() -> None:
    with pytest.raises(UsageError, match="transparency"):
        on_server(MattingOptions(background="transparent"), Edges(), "http://127.0.0.1:9", "", False)


@pytest.mark.parametrize("option", ["--weights", "--slate"])
def test_options_of_matting_here_are_refused(option: str) -> None:
    done = mattebox_here("camera", "--server", "http://127.0.0.1:1", option, "lite")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {option} is for matting on this computer, not for --server\n"
