"""docs/kubernetes.md describes the manifests that there are, and its examples work."""

import re

import pytest

from commands.app import __version__
from tests.docker.manifests import (
    ALL,
    DOC,
    OVERLAYS,
    SECRETS,
    check,
    containers,
    environment,
    of_kind,
    read_yaml,
    rendered,
    renderer,
    secret_keys,
    yaml_blocks,
)

pytestmark = pytest.mark.skipif(renderer() is None, reason="needs kubectl or kustomize")


@pytest.mark.parametrize("overlay", [*OVERLAYS, ALL])
def test_the_documentation_lists_every_key_of_the_secret(overlay: str) -> None:
    section = DOC.read_text().partition("\n## The secret\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \| ([^|]*) \|", section, re.MULTILINE))
    for key, optional in secret_keys(rendered(overlay)):
        assert key in rows
        assert ("optional" in rows[key]) == optional, key
    assert set(rows) <= set(SECRETS), "a key that nothing uses"


def test_the_ingress_in_the_documentation_is_valid() -> None:
    (ingress,) = (each for block in yaml_blocks(DOC) for each in read_yaml(block) if each["kind"] == "Ingress")
    check(ingress)
    service = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    ports = of_kind(rendered("cpu"), "Service")[service["name"]]["spec"]["ports"]
    assert service["port"]["name"] in {port["name"] for port in ports}


def test_the_kustomization_in_the_documentation_changes_what_it_says() -> None:
    manifests = rendered(ALL)
    assert containers(manifests)["web"]["image"] == f"ghcr.io/you/mattebox-web:{__version__}"
    assert containers(manifests)["file-worker"]["image"] == f"ghcr.io/you/mattebox-worker-cuda:{__version__}"
    assert environment(manifests, "web", SECRETS)["MATTEBOX_STORAGE"] == "s3://your-bucket/mattebox"
    assert environment(manifests, "web", SECRETS)["MATTEBOX_TRUSTED_PROXIES"], "the other settings stay"
    assert of_kind(manifests, "Deployment")["live-worker"]["spec"]["replicas"] == 4
    scaled = of_kind(manifests, "ScaledObject")["file-worker"]["spec"]
    assert (scaled["maxReplicaCount"], scaled["minReplicaCount"], len(scaled["triggers"])) == (30, 0, 1)


def test_the_documented_command_creates_all_required_keys() -> None:
    created = set(re.findall(r"--from-literal=([a-z0-9-]+)=", DOC.read_text()))
    assert created == {key for key, optional in secret_keys(rendered("gpu")) if not optional}
