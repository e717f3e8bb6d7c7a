import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream import limits
from stream.errors import UsageError
from stream.records.options import FeedOptions, Options
from stream.records.slate import drawn_characters, read_slate


@pytest.mark.parametrize(
    "text",
    [
        "Back soon",
        "Zurück in 5 Minuten – größer, Señor, Łódź, İstanbul, România",
        "Chúng tôi sẽ trở lại sớm",
        "Скоро вернёмся",
        "Επιστρέφουμε σε λίγο",
        "すぐに戻ります。ラーメン",
        "我们马上回来！",
        "곧 돌아옵니다",
    ],
)
def test_texts_in_these_scripts_can_be_drawn(text: str) -> None:
    assert read_slate(text) == text
    assert FeedOptions.read(slate=unicodedata.normalize("NFD", text)).slate == text, "as some keyboards write it"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("سنعود", "“س”, “ن”, “ع”, “و”, “د” cannot"),
        ("שלום לכולם", "“ש”, “ל”, “ו”, “ם”, “כ” cannot"),
        ("जल्द", "“ज”, “ल”, U+094D, “द” cannot"),
        ("soon 😀", "“😀” cannot"),
        ("abc\u200dd\u202e", "U+200D, U+202E cannot"),
        ("กลับมาเร็วๆ นี้", "U+0E31, “บ”, “ม” and 9 more cannot"),
        ("\ud800", "valid string"),
        ("two\nlines", "one line"),
        ("bell\x07", "one line"),
        ("next\u2028line", "one line"),
        ("x" * (limits.SLATE + 1), "80 characters"),
    ],
)
def test_others_are_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(UsageError, match=r"^slate: ") as caught:
        FeedOptions.read(slate=text)
    assert named in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_spaces_alone_are_no_text() -> None:
    assert FeedOptions.read(slate="  ").slate == FeedOptions().slate == ""


@given(st.text(st.sampled_from(drawn_characters()), max_size=limits.SLATE))
def test_the_text_survives_storing(text: str) -> None:
    options = FeedOptions.read(slate=text)
    assert FeedOptions.model_validate_json(options.model_dump_json()) == options


def test_other_videos_have_no_slate() -> None:
    with pytest.raises(UsageError, match="slate"):
        Options.read(slate="Back soon")
