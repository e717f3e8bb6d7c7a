"""A command line imports what it needs: the list of commands needs none of them, and a help none of the work."""

import subprocess
import sys
from typing import cast

import pytest
import typer
from typer.core import TyperGroup

from commands.app import COMMANDS, app
from tests.commands.in_process import mattebox_here
from tests.media import ROOT

_WORK = {"aiortc", "av", "cv2", "fastapi", "numpy", "onnxruntime", "PIL", "redis", "torch", "uvicorn"}
_SCRIPT = """
import sys, mattebox
from commands import app
app.run()
print("modules:", *{name.partition(".")[0] for name in sys.modules})
"""


def imported_by(*words: str) -> set[str]:
    """The top-level packages that a command line has imported when it ends."""
    done = subprocess.run([sys.executable, "-c", _SCRIPT, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    first, *names = done.stdout.splitlines()[-1].split()
    assert first == "modules:"
    return set(names)


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_the_list_of_commands_imports_no_command(words: list[str]) -> None:
    assert not imported_by(*words) & (_WORK | {"asyncio", "pydantic"})


@pytest.mark.parametrize("command", ["file", "serve", "jobs"])
def test_the_help_of_a_command_imports_no_work(command: str) -> None:
    assert not imported_by(command, "--help") & _WORK


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_of_a_command_is_the_first_paragraph_of_its_help(name: str) -> None:
    command = cast(TyperGroup, typer.main.get_command(app)).commands[name]
    assert COMMANDS[name].summary == " ".join((command.help or "").partition("\n\n")[0].split())


def test_a_misspelled_command_is_refused_with_a_suggestion() -> None:
    done = mattebox_here("fil")
    assert done.returncode == 2
    assert "No such command 'fil'. Did you mean 'file'" in done.stderr
