"""The manifests of docker/kubernetes as an operator applies them: rendered by kubectl or kustomize."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import kubernetes_validate
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from cloudcoil.models.prometheus_operator.v1 import ServiceMonitor
from pydantic import BaseModel
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "docker/kubernetes"
OVERLAYS = sorted(folder.name for folder in (KUBERNETES / "overlays").iterdir())
DOC = ROOT / "docs/kubernetes.md"
ALL = "gpu+s3+sentinel"
"""The kustomization that docs/kubernetes.md shows: the overlay gpu with two components and changes of its own."""

KUBERNETES_VERSION = "1.37"
OPERATORS: dict[str, type[BaseModel]] = {"ScaledObject": ScaledObject, "ServiceMonitor": ServiceMonitor}
SECRETS = {
    "redis-url": "redis://:secret@valkey.example.com:6379/0",
    "redis-password": "secret",
    "tokens": "ann:1234,metrics:5678",
    "metrics-token": "5678",
    "secret": "x" * 32,
    "turn-secret": "turn",
    "s3-access-key-id": "id",
    "s3-secret-access-key": "key",
}
"""Values for the keys of the secret `mattebox`."""

Manifest = dict[str, Any]


def read_yaml(text: str) -> list[Any]:
    """The documents of a text."""
    return list(YAML(typ="safe", pure=True).load_all(text))


def renderer() -> list[str] | None:
    """The command that renders a folder; None if no program for it is installed."""
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    return ["kustomize", "build"] if shutil.which("kustomize") else None


@cache
def rendered(overlay: str) -> tuple[Manifest, ...]:
    """The manifests of an overlay, or of `ALL`. Needs a renderer."""
    if overlay != ALL:
        return _build(KUBERNETES / "overlays" / overlay)
    with TemporaryDirectory() as folder:
        checkout = os.path.relpath(ROOT, os.path.realpath(folder))
        (Path(folder) / "kustomization.yaml").write_text(_documented().replace("- mattebox/", f"- {checkout}/"))
        return _build(Path(folder))


def yaml_blocks(page: Path) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def _documented() -> str:
    (found,) = (block for block in yaml_blocks(DOC) if "kind: Kustomization" in block)
    return found


def _build(folder: Path) -> tuple[Manifest, ...]:
    command = renderer()
    assert command
    done = subprocess.run([*command, folder], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "a warning, such as of a deprecated field"
    return tuple(read_yaml(done.stdout))


def of_kind(manifests: tuple[Manifest, ...], kind: str) -> dict[str, Manifest]:
    """By name."""
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] == kind}


def pods(manifests: tuple[Manifest, ...]) -> dict[str, Manifest]:
    """The pod templates' specs, by the name of their deployment."""
    return {name: each["spec"]["template"]["spec"] for name, each in of_kind(manifests, "Deployment").items()}


def containers(manifests: tuple[Manifest, ...]) -> dict[str, Manifest]:
    """The only container of each deployment's pods, by the name of the deployment."""
    found = {name: pod["containers"] for name, pod in pods(manifests).items()}
    assert all(len(each) == 1 for each in found.values())
    return {name: each[0] for name, each in found.items()}


def environment(manifests: tuple[Manifest, ...], name: str, secrets: dict[str, str]) -> dict[str, str]:
    """The environment of a deployment's container, as Kubernetes computes it.

    secrets: the keys of the secret `mattebox`. A required key that is missing raises KeyError.
    """
    maps, container = of_kind(manifests, "ConfigMap"), containers(manifests)[name]
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= maps[source["configMapRef"]["name"]].get("data", {})
    for entry in container["env"]:
        value = _value(entry, container, secrets)
        if value is not None:
            found[entry["name"]] = re.sub(r"\$\((\w+)\)", lambda match: found.get(match[1], match[0]), value)
    return found


def _value(entry: Manifest, container: Manifest, secrets: dict[str, str]) -> str | None:
    if "valueFrom" not in entry:
        return str(entry["value"])
    ((kind, source),) = entry["valueFrom"].items()
    if kind == "resourceFieldRef":
        section, resource = source["resource"].split(".")
        return str(container["resources"][section][resource])
    assert (kind, source["name"]) == ("secretKeyRef", "mattebox")
    return secrets.get(source["key"]) if source.get("optional") else secrets[source["key"]]


def secret_keys(manifests: tuple[Manifest, ...]) -> Iterator[tuple[str, bool]]:
    """(key of the secret `mattebox`, whether it may be missing) of each reference to it."""
    for container in containers(manifests).values():
        for entry in container["env"]:
            if source := entry.get("valueFrom", {}).get("secretKeyRef"):
                yield source["key"], source.get("optional", False)
    for monitor in of_kind(manifests, "ServiceMonitor").values():
        for endpoint in monitor["spec"]["endpoints"]:
            yield endpoint["authorization"]["credentials"]["key"], False


def check(manifest: Manifest) -> None:
    """Raises ValidationError where a manifest is not valid, or has a field that its kind does not have."""
    if (model := OPERATORS.get(manifest["kind"])) is None:
        kubernetes_validate.validate(manifest, KUBERNETES_VERSION, strict=True)
        return
    kept = model.model_validate(manifest).model_dump(by_alias=True, exclude_none=True, mode="json")
    assert kept == manifest, "the model drops fields that it does not know"
