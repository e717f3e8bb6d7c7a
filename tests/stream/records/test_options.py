import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import UsageError
from stream.records.options import Background, Edges, Options, View, parse_rgb


@pytest.mark.parametrize(
    ("spec", "written"),
    [
        ("green", "color:#00ff00"),
        ("color:#FF8000", "color:#ff8000"),
        ("colour:f80", "color:#ff8800"),
        ("blur", "blur:0.5"),
        ("blur:1", "blur:1"),
        ("image:/a b/c:d.jpg", "image:/a b/c:d.jpg"),
        ("video:loop.mp4", "video:loop.mp4"),
        ("transparent", "transparent"),
        ("none", "none"),
    ],
)
def test_backgrounds_are_parsed_and_written_as_specs(spec: str, written: str) -> None:
    options = Options.read(background=spec)
    assert json.loads(options.model_dump_json())["background"] == written
    assert Options.model_validate_json(options.model_dump_json()) == options


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"background": "foo"}, "background"),
        ({"background": "color:#12345"}, "is not a colour"),
        ({"background": "image:"}, "background"),
        ({"background": "blur:7"}, "background"),
        ({"background": "blur:nan"}, "background"),
        ({"background": "none:x"}, "background"),
        ({"view": "sideways"}, "view"),
        ({"temporal": "magic"}, "temporal"),
        ({"key": "greenish"}, "is not a colour"),
        ({"unknown": 1}, "unknown"),
        ({"edges": {"feather": 99}}, "edges.feather"),
        ({"edges": {"expand": float("nan")}}, "edges.expand"),
        ({"edges": {"refine": "maybe"}}, "edges.refine"),
        ({"edges": {"sparkle": 1}}, "edges.sparkle"),
        ({"edges": 7}, "edges"),
    ],
)
def test_errors_name_the_field_in_one_line(fields: dict[str, object], word: str) -> None:
    with pytest.raises(UsageError) as caught:
        Options.read(**fields)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_every_colour_survives_conversion_to_text(rgb: tuple[int, int, int]) -> None:
    assert parse_rgb(Background(kind="color", rgb=rgb).model_dump_json().strip('"').removeprefix("color:")) == rgb


@given(st.text(max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with suppress(UsageError):  # and nothing else
        assert Options.read(background=text).background.kind


def test_only_a_plain_composite_is_transparent() -> None:
    assert Options(background=Background(kind="transparent")).wants_alpha
    assert not Options(background=Background(kind="transparent"), view=View.STACKED).wants_alpha
    assert not Options().wants_alpha


def test_edges_survive_json_and_are_all_documented() -> None:
    options = Options.read(edges={"expand": -1.5, "refine": "on"})
    assert Options.model_validate_json(options.model_dump_json()) == options
    assert options.edges == Edges(expand=-1.5, refine="on")
    for name, field in Edges.model_json_schema()["properties"].items():
        assert field["description"], name
        assert "default" in field, name
        assert ("minimum" in field and "maximum" in field) or name == "refine", name


@pytest.mark.parametrize("keep", ["hat, hair", "hair,hat", ["hat", "hair", "hat"], ("hair", "hat")])
def test_parts_to_keep_are_a_list_or_text(keep: object) -> None:
    options = Options.model_validate({"keep": keep})
    assert options.keep == ("hair", "hat")
    assert Options.model_validate_json(options.model_dump_json()) == options


def test_no_parts_are_kept_by_default() -> None:
    assert Options().keep == Options.read(keep="").keep == ()


@pytest.mark.parametrize(
    ("keep", "message"),
    [("hats", "keep: 'hats' is not one of: hair, hat, glasses, earring, necklace; did you mean hat?"),
     (["hair", "nose"], "keep: 'nose' is not one of: hair, hat, glasses, earring, necklace"),
     (3, "keep: ")],
)  # fmt: skip
def test_other_parts_are_refused(keep: object, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Options.read(keep=keep)
    assert str(caught.value).startswith(message)
