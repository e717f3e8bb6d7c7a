"""The vocabulary of `--subject`: texts, records, and both ways between them."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stream.errors import UsageError
from stream.records.options import Options
from stream.records.subjects import Prompt, Subject, parse_subjects, specs

NUMBERS = st.floats(0, 1).map(str) | st.integers(0, 20_000).map(str) | st.text("0123456789.-e", max_size=8)
SPECS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "ann=", "not:", "ann=not:"]),
    st.sampled_from(["point:", "point:-", "box:", "mask:", "class:", "words:"]),
    st.lists(NUMBERS, max_size=5).map(",".join) | st.text(max_size=12),
    st.just("") | NUMBERS.map("@{}".format),
)
"""Prompts, many of them valid."""

PROMPTS: dict[str, Prompt] = {
    "point:0.5,0.25": Prompt(kind="point", place=(0.5, 0.25)),
    "point:-0.5,0.25@2.5": Prompt(kind="point", place=(0.5, 0.25), inside=False, at_s=2.5),
    "point:-0,0.25": Prompt(kind="point", place=(0.0, 0.25), inside=False),
    "box:10,20,300,400@7": Prompt(kind="box", place=(10, 20, 300, 400), at_s=7),
    "mask:a@b.png@1.5": Prompt(kind="mask", text="a@b.png", at_s=1.5),
    "mask:a@b.png": Prompt(kind="mask", text="a@b.png"),
    "class:person,potted plant": Prompt(kind="class", names=("person", "potted plant")),
    "words:the person: with the guitar": Prompt(kind="words", text="the person: with the guitar"),
}


@pytest.mark.parametrize("spec", PROMPTS)
def test_a_prompt_is_the_same_as_text_and_as_a_record(spec: str) -> None:
    prompt = Prompt.model_validate(spec)
    assert prompt == PROMPTS[spec]
    assert str(prompt.model_dump()) == spec
    assert Prompt.model_validate_json(prompt.model_dump_json()) == prompt


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("point:0.5", "is not a point; write point:X,Y"),
        ("point:0.5;0.5", "is not a point; write point:X,Y"),
        ("0.5, 0.5", "did you mean point:0.5, 0.5?"),
        ("0.1,0.1,0.5,0.5@2", "did you mean box:0.1,0.1,0.5,0.5@2?"),
        ("folder/person.png@2", "for a file write mask:folder/person.png@2"),
        ("image:person.png", "for a file write mask:person.png"),
        ("ann:point:1,2", "for a subject with a name write ann=PROMPT"),
        ("mask:", "write mask:FILE; @SECONDS at its end"),
        ("class:dog,", "write class:NAME or class:NAME,NAME"),
        ("the left one: with a hat", "for words with a colon write words:the left one: with a hat"),
        ("my ann=point:1,2", "a name has 1 to 32 letters, digits, - and _, unlike 'my ann'"),
        ("words: ", "is not a prompt; write words:TEXT"),
        ("point:" + "9" * 400 + ",1", "finite"),
        ("box:0.1,0.1,0.0000001,0.5", "is an empty box"),
        ("point:0.5,0.5@", "is not a point"),
        ("box:-1,2,3,4", "is not a box; write box:X,Y,W,H"),
        ("box:1,2,0,4", "is an empty box"),
        ("pont:0.5,0.5", "did you mean point"),
        ("class:", "is not a prompt"),
        ("class:person,,dog", "is not a prompt"),
        ("mask:", "is not a prompt"),
        ("  ", "is not a prompt"),
        ("point:0.5,99999", "less than or equal to 16384"),
        ("point:0.5,0.5@1e9", "is not a point"),
        ("point:0.5,0.5@99999", "less than or equal to 86400"),
    ],
)
def test_a_faulty_prompt_is_refused_by_its_text(spec: str, fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        Prompt.model_validate(spec)


def test_specs_of_one_name_describe_one_subject() -> None:
    ann, subject, removed, car = parse_subjects(
        ["ann=point:0.5,0.5", "point:10,20", "not:person,dog", "car=not:box:1,2,3,4", "ann=point:-0.1,0.1@2", "a hat"]
    )
    assert [prompt.spec() for prompt in ann.prompts] == ["point:0.5,0.5", "point:-0.1,0.1@2"]
    assert (ann.name, ann.keep) == ("ann", True)
    assert [prompt.spec() for prompt in subject.prompts] == ["point:10,20", "words:a hat"]
    assert (removed.name, removed.keep) == ("removed", False)
    assert removed.prompts[0].names == ("person", "dog")
    assert (car.name, car.keep) == ("car", False)


@pytest.mark.parametrize(
    ("specs", "fault"),
    [
        (["ann=a hat", "ann=not:a hat"], "both kept and removed"),
        (["point:-0.5,0.5"], "only points that are not the subject"),
        (["p=x"] * 65, "^p has 65 prompts; at most 64 items"),
        ([f"p{n}=x" for n in range(9)], "^a video has at most 8 subjects"),
        (["not:not:dog"], "^'not:not:dog' has not: twice"),
        (["not:"], "^'not:' has no prompt; use one of: point:X,Y"),
        (["ann="], "^'ann=' has no prompt"),
        (["ann=point:0.5,99999"], "^'point:0.5,99999': a coordinate should be less than or equal to 16384"),
        (["mask:a.png@99999"], "^'mask:a.png@99999': the time should be less than or equal to 86400"),
        (["x" * 1025], "…': the text should have at most 1024 characters"),
        (["class:" + "x" * 65], "a name should have at most 64 characters"),
        (["pont:0.5,0.5"], "^'pont:0.5,0.5' is not a prompt; .*; did you mean point\\?"),
    ],
)
def test_faulty_subjects_are_refused_in_one_line(specs: list[str], fault: str) -> None:
    with pytest.raises(ValueError, match=fault) as caught:
        parse_subjects(specs)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "words", "text": ""},
        {"kind": "words", "text": "a hat", "at_s": 3},
        {"kind": "class", "names": ["a,b"]},
        {"kind": "class"},
        {"kind": "point", "place": [1, 2, 3]},
        {"kind": "point"},
        {"kind": "box", "place": [1, 2, 3, 4], "inside": False},
        {"kind": "point", "place": [1, 2], "text": "a"},
        {"kind": "mask", "text": ""},
    ],
)
def test_a_record_that_its_text_does_not_describe_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Prompt.model_validate(fields)


def test_small_numbers_and_late_times_keep_a_millionth() -> None:
    prompt = Prompt.model_validate("point:0.0000123,0.123456789@10800.0416667")
    assert prompt.spec() == "point:0.000012,0.123457@10800.041667"
    assert prompt.place == (0.000012, 0.123457)


def test_a_mask_may_be_named_like_a_time() -> None:
    prompt = Prompt.model_validate("mask:a@2@0")
    assert (prompt.text, prompt.at_s, prompt.spec()) == ("a@2", 0.0, "mask:a@2@0")


@given(st.lists(st.text(max_size=12) | SPECS, max_size=6))
def test_every_list_of_texts_is_refused_or_the_same_after_writing(texts: list[str]) -> None:
    with suppress(ValueError):
        subjects = parse_subjects(texts)
        assert parse_subjects(specs(subjects)) == subjects
        options = Options(subjects=subjects)
        assert Options.model_validate_json(options.model_dump_json()) == options


def test_masks_are_moved() -> None:
    (subject,) = parse_subjects(["mask:a.png@1", "point:0.5,0.5", "mask:b.mp4"])
    assert subject.masks == ["a.png", "b.mp4"]
    moved = subject.with_masks(lambda path: f"upload:{path}")
    assert [prompt.spec() for prompt in moved.prompts] == ["mask:upload:a.png@1", "point:0.5,0.5", "mask:upload:b.mp4"]


def test_coordinates_are_relative_if_none_is_above_1() -> None:
    assert Prompt.model_validate("point:0.5,1").in_pixels(640, 480) == (320.0, 480.0)
    assert Prompt.model_validate("point:2,1").in_pixels(640, 480) == (2.0, 1.0)
    assert Prompt.model_validate("box:0.25,0.5,0.5,0.25").in_pixels(640, 480) == (160.0, 240.0, 320.0, 120.0)


def test_options_take_subjects_as_texts_and_as_records() -> None:
    specs = ["ann=point:0.5,0.5", "ann=point:-0.1,0.1@2", "not:person"]
    options = Options.read(subjects=specs)
    assert options == Options(subjects=parse_subjects(specs))
    assert Options.model_validate_json(options.model_dump_json()) == options
    assert options.model_dump(mode="json")["subjects"][0] == {
        "name": "ann", "keep": True, "prompts": ["point:0.5,0.5", "point:-0.1,0.1@2"]
    }  # fmt: skip


def test_two_subjects_of_one_name_are_refused() -> None:
    twice = [Subject(name="ann", prompts=(Prompt.model_validate("a hat"),))] * 2
    with pytest.raises(ValidationError, match="two have the name 'ann'") as caught:
        Options(subjects=tuple(twice))
    assert caught.value.errors()[0]["loc"] == ("subjects",)


def test_options_take_a_single_text() -> None:
    assert Options.read(subjects="a hat") == Options.read(subjects=["a hat"])


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (["point:0.5"], "subjects: 'point:0.5' is not a point; write point:X,Y, or point:-X,Y for"),
        ([{"prompts": ["point:0.5"]}], "subjects.0.prompts.0: 'point:0.5' is not a point; write point:X,Y"),
        ([{"prompts": []}], "subjects.0.prompts: tuple should have at least 1 item"),
        ([{"prompts": ["a hat"], "name": "a b"}], "subjects.0.name: string should match pattern"),
        ([{"prompts": ["a hat"]}, {"prompts": ["a coat"]}], "subjects: two have the name 'subject'"),
        (["a hat", {"prompts": ["a coat"]}], "subjects.0: input should be a valid dictionary"),
        (7, "subjects: input should be a valid tuple"),
    ],
)
def test_options_name_the_faulty_subject_in_one_line(value: object, fault: str) -> None:
    with pytest.raises(UsageError) as caught:
        Options.read(subjects=value)
    assert str(caught.value).lower().startswith(fault.lower()), caught.value
    assert len(str(caught.value).splitlines()) == 1
