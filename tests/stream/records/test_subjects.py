"""The vocabulary of `--subject`: texts, records, and both ways between them."""

import pytest
from pydantic import ValidationError

from stream.records.options import Options
from stream.records.subjects import Prompt, Subject, parse_subjects

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
        (["p=x"] * 65, "at most 64 items"),
    ],
)
def test_faulty_subjects_are_refused(specs: list[str], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        parse_subjects(specs)


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
    with pytest.raises(ValidationError, match="two have the name 'ann'"):
        Options(subjects=tuple(twice))
