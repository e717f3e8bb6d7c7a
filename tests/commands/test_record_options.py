from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
import typer
from pydantic import BaseModel, Field
from typer.testing import CliRunner

from commands.record_options import with_flags


class Mood(StrEnum):
    CALM = "calm"
    LOUD = "loud"


class Look(BaseModel):
    mood: Mood = Field(Mood.CALM, description="How it feels.")
    how_far: float = Field(0.0, ge=-2.0, le=2.0, description="How far it goes.")


app = typer.Typer()


@app.command()
@with_flags(Look, "Looks")
def show(
    look: Look,
    place: Annotated[Path, typer.Argument(help="Where.")],
    count: Annotated[int, typer.Option(help="How often.")] = 1,
) -> None:
    """Show something."""
    print(place, count, look.mood.value, look.how_far)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["here"], 0, "here 1 calm 0.0"),
        (["here", "--how-far", "-1.5", "--mood", "loud", "--count", "3"], 0, "here 3 loud -1.5"),
        (["here", "--how-far", "2.5"], 2, "--how-far"),
        (["here", "--how-far", "nan"], 2, "--how-far"),
        (["here", "--mood", "sad"], 2, "--mood"),
        (["--how-far", "1"], 2, "place"),
    ],
)
def test_every_field_is_an_option_with_its_range(words: list[str], code: int, message: str) -> None:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code
    assert message in done.output


def test_help_lists_the_fields_in_a_separate_panel() -> None:
    text = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "100", "NO_COLOR": "1"}).output
    assert "Show something." in text
    panel = text[text.index("Looks") :]
    for words in ("--mood", "--how-far", "How far it goes.", "-2.0<=x<=2.0"):
        assert words in panel
    assert "--count" not in panel
