"""The lock files of the images: complete, within the project's ranges, and enough for what an image runs."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.docker.files import DOCKER, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {"web": ("heif", "s3"), "worker": ("heif", "s3"), "worker-cuda": ("heif", "s3", "birefnet")}
ABSENT = {
    canonicalize_name(line.partition(";")[0])
    for line in (DOCKER / "requirements/not-in-web.txt").read_text().splitlines()
    if not line.startswith("#")
}


def locked(name: str) -> dict[str, str]:
    """Version of each package in a lock file."""
    text = (DOCKER / f"requirements/{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def required(name: str) -> list[Requirement]:
    optional = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(line for extra in EXTRAS[name] for line in optional[extra])]
    found = [Requirement(line) for line in lines]
    return [r for r in found if name != "web" or canonicalize_name(r.name) not in ABSENT]


@pytest.mark.parametrize("name", EXTRAS)
def test_it_has_every_requirement_in_its_range(name: str) -> None:
    versions = locked(name)
    assert len(versions) > 40
    for requirement in required(name):
        assert Version(versions[canonicalize_name(requirement.name)]) in requirement.specifier


@pytest.mark.parametrize("name", [*EXTRAS, "build"])
def test_every_package_has_hashes(name: str) -> None:
    text = (DOCKER / f"requirements/{name}.txt").read_text()
    packages = re.split(r"^(?=[a-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE)[1:]
    assert len(packages) == len(locked(name))
    assert all(re.match(r"[a-z0-9-]+==\S+ \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n)+$", p) for p in packages)
    assert "http" not in re.sub("httpx?|httpcore", "", text), "an address of an index"


def test_the_images_have_the_same_versions() -> None:
    worker = locked("worker")
    assert locked("web").items() <= worker.items()
    assert not ABSENT & set(locked("web"))
    assert worker.items() <= locked("worker-cuda").items()


def test_torch_is_the_version_that_the_tests_run() -> None:
    assert f"torch=={locked('worker-cuda')['torch']}" in (ROOT / "Makefile").read_text()


WEB = "import pkgutil, importlib, web, commands.app, commands.serve\n" + (
    "for found in pkgutil.walk_packages(web.__path__, 'web.'): importlib.import_module(found.name)"
)
WORKER = "import commands.app, commands.serve, workers.live.worker, workers.files.worker, workers.engines.rvm\n" + (
    "import workers.engines.selfie, stream.storage.s3, obstore, pi_heif"
)


@pytest.mark.long
@pytest.mark.parametrize(("name", "code"), [("web", WEB), ("worker", WORKER)])
def test_it_has_every_package_that_the_image_imports(name: str, code: str) -> None:
    code += "\nimport sys; print(*{module.partition('.')[0] for module, found in sys.modules.items() if found})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    owners = packages_distributions()
    imported = {canonicalize_name(owner) for module in done.stdout.split() for owner in owners.get(module, ())}
    assert {"redis", "pydantic", "av"} <= imported
    assert imported <= set(locked(name)) | {"mattebox", "setuptools"}
