"""The files in `docker/`, parsed."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import typer
from ruamel.yaml import YAML

from commands.app import app
from stream.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
OTHER_VARIABLES = {
    "PATH", "PYTHONUNBUFFERED",  # Python's
    "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "TRITON_CACHE_DIR",  # of the GPU
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",  # read by obstore
    "COMPOSE_PROFILES", "DOMAIN", "IMAGE_TAG", "WEIGHTS", "METRICS_TOKEN",  # read by Compose
    "ROOT_ACCESS_KEY", "ROOT_SECRET_KEY",  # of the S3 server
}  # fmt: skip
"""Environment variables in `docker/` that are not settings of Mattebox."""


@cache
def compose() -> dict[str, Any]:
    """The Compose file, with its YAML anchors resolved and its variables as they are written."""
    parsed: dict[str, Any] = YAML(typ="safe").load(DOCKER / "compose.yaml")
    return parsed


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def own_services() -> dict[str, dict[str, Any]]:
    """The services that run images of Mattebox."""
    return {name: service for name, service in services().items() if service["image"].startswith("mattebox/")}


def example() -> dict[str, str]:
    """The variables of .env.example; commented ones too."""
    return dict(re.findall(r"^#?([A-Z_0-9]+)=(.*)$", (DOCKER / ".env.example").read_text(), re.MULTILINE))


def to_choose() -> set[str]:
    """The variables in the part of .env.example that an operator must go through."""
    part = (DOCKER / ".env.example").read_text().partition("with defaults")[0]
    return set(re.findall(r"^([A-Z_0-9]+)=", part, re.MULTILINE))


def instructions(name: str) -> list[str]:
    """The arguments of each instruction of that name in the Dockerfile, with continued lines joined."""
    text = re.sub(r"\\\n\s*", "", re.sub(r"^\s*#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE))
    return re.findall(rf"^{name} (.*)$", text, re.MULTILINE)


def settings_variables() -> set[str]:
    """The environment variables that `Settings` reads."""
    return {f"MATTEBOX_{name.upper()}" for name in Settings.model_fields} | {"REDIS_URL"}


def parse(arguments: list[str]) -> Any:
    """Parse a command line of `mattebox` without running it. Returns the command's context, with its `params`.

    Raises the error that a user would see.
    """
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    with group.make_context("mattebox", list(arguments)) as context:
        name, command, rest = group.resolve_command(context, list(arguments))
        assert command is not None
        return command.make_context(name, rest, parent=context)


def interpolated(text: str) -> Iterator[str]:
    """The variables in a value of the Compose file."""
    yield from re.findall(r"\$\{([A-Z_0-9]+)", text)
