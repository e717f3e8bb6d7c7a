"""The documentation matches the code: links, paths, commands and options exist."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from commands.app import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CLI = ROOT / "docs" / "cli.md"
PATH = re.compile(r"(stream|workers|web|commands|tests|docs)/[^\s`]*(\.\w+|/)")
page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


def prose(text: str) -> str:
    """The page without code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def spans(text: str) -> list[str]:
    """The inline code of a page."""
    return re.findall(r"`([^`]+)`", prose(text))


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub generates for a page's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(group: Any, parents: str = "") -> Iterator[tuple[str, Any]]:
    """(name, command) of every command in the application, such as "jobs submit"."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{parents}{name} ")
        else:
            yield f"{parents}{name}", command


COMMANDS = dict(commands(typer.main.get_command(app)))


def flags(name: str) -> set[str]:
    """The options that a command's help shows, without --help."""
    options = [param for param in COMMANDS[name].params if param.param_type_name == "option" and not param.hidden]
    return {flag for option in options for flag in (*option.opts, *option.secondary_opts)} - {"--help", "-h"}


def named(text: str) -> Iterator[str]:
    """The commands in a piece of code: the words after `mattebox` that are neither arguments nor options."""
    groups = {name.partition(" ")[0] for name in COMMANDS if " " in name}
    for first, second in re.findall(r"\bmattebox ([a-z][\w-]*)(?: ([a-z][\w-]*))?", text):
        yield f"{first} {second}" if first in groups and second else first


def sections() -> Iterator[tuple[list[str], set[str]]]:
    """(commands in the heading, flags in the first column of the tables below it) for each section of the CLI page."""
    for part in re.split(r"^#+ ", CLI.read_text(), flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        cells = re.findall(r"^\| ([^|]+) \|", body, re.MULTILINE)
        listed = {code for cell in cells for code in spans(cell) if code.startswith("-")}
        yield [name for code in spans(heading) for name in named(code)], listed


@page
def test_links_and_pictures_exist(page: Path) -> None:
    text = prose(page.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


@page
def test_paths_in_backticks_exist(page: Path) -> None:
    for code in spans(page.read_text()):
        if PATH.fullmatch(code) and not re.search(r"[*<]", code):
            assert (ROOT / code).exists(), code


@page
def test_commands_exist(page: Path) -> None:
    groups = {name.partition(" ")[0] for name in COMMANDS}
    code = "\n".join(re.findall(r"^```.*?^```", page.read_text(), re.MULTILINE | re.DOTALL) + spans(page.read_text()))
    for name in named(code):
        assert name in COMMANDS or name in groups, f"mattebox {name}"


def test_the_cli_page_has_every_command() -> None:
    listed = {name for code in spans(CLI.read_text()) for name in named(code)}
    assert set(COMMANDS) <= listed


def test_every_flag_on_the_cli_page_exists() -> None:
    for names, listed in sections():
        for name in names:
            assert listed <= flags(name), f"mattebox {name}"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_cli_page_has_every_flag(name: str) -> None:
    assert flags(name) <= set().union(*(listed for names, listed in sections() if name in names))


def test_readme_names_the_packages_that_ci_installs() -> None:
    listed = re.search(r"^packages=\((.*?)\)", (ROOT / ".ci" / "run").read_text(), re.MULTILINE | re.DOTALL)
    paragraph = re.search(r"^The tests use these Debian packages.*?\n\n", (ROOT / "README.md").read_text(), re.M | re.S)
    assert listed
    assert paragraph
    names = [re.sub("^-", "gstreamer1.0-plugins-", name) for name in re.findall(r"`([a-z0-9.-]+)`", paragraph[0])]
    assert sorted(names) == sorted(listed[1].split())
