"""The manifests of docker/kubernetes: valid, consistent with each other, and with the programs that they run."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
import typer

from commands.app import __version__, app
from commands.serve import _STOP_S
from stream.records.live_store import LiveStore
from stream.records.redis_link import RedisLink
from stream.settings import Settings
from stream.storage import STORAGES
from tests.docker import exposition
from tests.docker.manifests import (
    ALL,
    OVERLAYS,
    ROOT,
    SECRETS,
    Manifest,
    check,
    containers,
    environment,
    of_kind,
    pods,
    rendered,
    renderer,
    secret_keys,
)
from web.app import create_app
from web.server import _GRACE_S

pytestmark = pytest.mark.skipif(renderer() is None, reason="needs kubectl or kustomize")

DOCKERFILE = ROOT / "docker/Dockerfile"
OTHERS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"}
"""Environment variables that are not settings: they are those of obstore."""

every_overlay = pytest.mark.parametrize("overlay", [*OVERLAYS, ALL])


def settings_names() -> set[str]:
    return {f"MATTEBOX_{name.upper()}" for name in Settings.model_fields} | {"REDIS_URL"}


@pytest.mark.long
@every_overlay
def test_it_is_valid(overlay: str) -> None:
    manifests = rendered(overlay)
    for manifest in manifests:
        check(manifest)
    names = [(each["kind"], each["metadata"]["name"]) for each in manifests]
    assert len(set(names)) == len(names)
    assert {each["metadata"].get("namespace") for each in manifests if each["kind"] != "Namespace"} == {"mattebox"}


@pytest.mark.parametrize(("kind", "name", "path", "value"), [
    ("Deployment", "web", "spec.template.spec.containers", "none"),
    ("Deployment", "web", "spec.template.spec.nonsense", 1),
    ("ScaledObject", "file-worker", "spec.minReplicaCount", "none"),
    ("ScaledObject", "file-worker", "spec.nonsense", 1),
    ("ServiceMonitor", "web", "spec.endpoints", "none"),
    ("ServiceMonitor", "web", "spec.nonsense", 1),
])  # fmt: skip
def test_the_check_finds_faults(kind: str, name: str, path: str, value: object) -> None:
    manifest: Any = deepcopy(of_kind(rendered("cpu"), kind)[name])
    *parents, last = path.split(".")
    node = manifest
    for parent in parents:
        node = node[parent]
    node[last] = value
    with pytest.raises((kubernetes_validate.ValidationError, ValueError, AssertionError)):
        check(manifest)


@every_overlay
def test_every_variable_is_a_setting_with_a_valid_value(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    manifests = rendered(overlay)
    for name, container in containers(manifests).items():
        found = environment(manifests, name, SECRETS)
        used = {match for entry in container["env"] for match in re.findall(r"\$\((\w+)\)", entry.get("value", ""))}
        assert set(found) - OTHERS - used <= settings_names()
        assert "$(" not in "".join(found.values()), "a variable refers to one that is not defined before it"
        with monkeypatch.context() as patch:
            for variable, value in found.items():
                patch.setenv(variable, value)
            chosen = Settings()
        RedisLink(chosen.redis_url)
        assert chosen.cores() == int(container["resources"]["limits"]["cpu"])
        assert (chosen.storage.partition("://")[0] in STORAGES) == ("s3" in overlay)


@every_overlay
def test_web_and_live_workers_agree(overlay: str) -> None:
    web, live, files = (environment(rendered(overlay), name, SECRETS) for name in ("web", "live-worker", "file-worker"))
    for name in ("MATTEBOX_ICE_SERVERS", "MATTEBOX_TURN_SECRET", "MATTEBOX_UDP_PORTS"):
        assert web[name] == live[name]
    for name in ("REDIS_URL", "MATTEBOX_STORAGE"):
        assert web[name] == live[name] == files[name]
    assert {"MATTEBOX_TOKENS", "MATTEBOX_SECRET"} & (set(live) | set(files)) == set(), "workers need no such secrets"


@every_overlay
def test_every_command_is_one_of_the_command_line(overlay: str) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group | typer.core.TyperGroup)
    kinds = {}
    for name, container in containers(rendered(overlay)).items():
        assert "command" not in container, "the image's entry point runs mattebox under an init process"
        command, *arguments = container["args"]
        context = group.commands[command].make_context(command, arguments)
        assert context.params["as_json"]
        kinds[name] = (command, context.params.get("kind"))
    assert kinds == {"web": ("web", None), "live-worker": ("worker", "live"), "file-worker": ("worker", "files")}


def test_without_optional_keys_the_settings_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    manifests = rendered(ALL)
    required = {key: SECRETS[key] for key, optional in secret_keys(manifests) if not optional}
    for name in containers(manifests):
        with monkeypatch.context() as patch:
            for variable, value in environment(manifests, name, required).items():
                patch.setenv(variable, value)
            Settings()


@every_overlay
def test_everything_that_is_referred_to_exists(overlay: str) -> None:
    manifests = rendered(overlay)
    maps, claims = of_kind(manifests, "ConfigMap"), of_kind(manifests, "PersistentVolumeClaim")
    used_maps, used_claims = set(), set()
    for name, pod in pods(manifests).items():
        container = pod["containers"][0]
        used_maps |= {source["configMapRef"]["name"] for source in container.get("envFrom", ())}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes), name
        used_claims |= {claim["claimName"] for each in volumes.values() if (claim := each.get("persistentVolumeClaim"))}
        assert pod["serviceAccountName"] in of_kind(manifests, "ServiceAccount")
    assert used_maps == set(maps)
    assert used_claims == set(claims)
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in of_kind(manifests, "Deployment").values()]
    for selector in selectors(manifests):
        assert any(selector.items() <= each.items() for each in labels), selector


def selectors(manifests: tuple[Manifest, ...]) -> list[dict[str, str]]:
    """Of all that selects pods."""
    policies, budgets = of_kind(manifests, "NetworkPolicy"), of_kind(manifests, "PodDisruptionBudget")
    return [
        *(each["spec"]["selector"] for each in of_kind(manifests, "Service").values()),
        *(each["spec"]["podSelector"]["matchLabels"] for each in policies.values()),
        *(each["spec"]["selector"]["matchLabels"] for each in budgets.values()),
        *(each["spec"]["selector"]["matchLabels"] for each in of_kind(manifests, "Deployment").values()),
    ]


@every_overlay
def test_the_monitored_service_is_that_of_the_web_pods(overlay: str) -> None:
    manifests = rendered(overlay)
    (monitor,), (service,) = (of_kind(manifests, kind).values() for kind in ("ServiceMonitor", "Service"))
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    (port,) = containers(manifests)["web"]["ports"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    assert str(port["containerPort"]) in containers(manifests)["web"]["args"]


@every_overlay
def test_containers_have_no_rights_that_they_do_not_need(overlay: str) -> None:
    for name, pod in pods(rendered(overlay)).items():
        container = pod["containers"][0]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod["automountServiceAccountToken"]
        expected = {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert container["securityContext"] == expected
        for section in ("requests", "limits"):
            assert {"cpu", "memory"} <= set(container["resources"][section]), name
        assert pod.get("hostNetwork", False) == (name == "live-worker")


@every_overlay
def test_every_folder_that_is_written_to_is_a_volume(overlay: str) -> None:
    manifests = rendered(overlay)
    for name, container in containers(manifests).items():
        found = environment(manifests, name, SECRETS)
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        folders = [found["MATTEBOX_DATA_DIR"], "/tmp"]
        folders += [found[key] for key in ("MATTEBOX_CACHE_DIR",) if name != "web"]
        folders += [] if found["MATTEBOX_STORAGE"].startswith("s3:") else [found["MATTEBOX_STORAGE"]]
        assert all(mounts & {folder, str(Path(folder).parent)} for folder in folders), name


@every_overlay
def test_a_deployment_has_a_scaler_or_a_number_of_replicas(overlay: str) -> None:
    manifests = rendered(overlay)
    deployments = of_kind(manifests, "Deployment")
    scalers = [*of_kind(manifests, "HorizontalPodAutoscaler").values(), *of_kind(manifests, "ScaledObject").values()]
    targets = {each["spec"]["scaleTargetRef"]["name"] for each in scalers}
    assert targets == {"web", "file-worker"}
    for name, deployment in deployments.items():
        assert ("replicas" in deployment["spec"]) == (name not in targets), "applying would undo the scaler's number"


@every_overlay
def test_file_workers_are_scaled_by_an_existing_metric_down_to_none(overlay: str) -> None:
    spec = of_kind(rendered(overlay), "ScaledObject")["file-worker"]["spec"]
    (trigger,) = spec["triggers"]
    assert spec["minReplicaCount"] == 0
    assert trigger["metadata"]["ignoreNullValues"] == "false", "an outage would stop all workers"
    query = trigger["metadata"]["query"]
    assert {selector.name for selector in exposition.selectors(query)} == {"mattebox_tasks"}
    assert not exposition.unknown(query, exposition.metrics())


@every_overlay
def test_probes_use_existing_paths(overlay: str, tmp_path: Path) -> None:
    manifests = rendered(overlay)
    paths = create_app(Settings(data_dir=tmp_path), LiveStore("redis://127.0.0.1:1")).openapi()["paths"]
    web = containers(manifests)["web"]
    probes = {name: web[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {probe["path"] for probe in probes.values()} <= set(paths)
    assert (probes["liveness"]["path"], probes["readiness"]["path"]) == ("/livez", "/readyz")
    assert of_kind(manifests, "ServiceMonitor")["web"]["spec"]["endpoints"][0]["path"] in paths


@every_overlay
def test_pods_fit_the_images(overlay: str) -> None:
    if not DOCKERFILE.exists():
        pytest.skip("the images are not part of this checkout")
    text = DOCKERFILE.read_text()
    (user,) = set(re.findall(r"^USER (\d+)", text, re.MULTILINE))
    (file,) = set(re.findall(r"MATTEBOX_HEALTH_FILE=(\S+)", text))
    assert 'ENTRYPOINT ["tini", "--", "mattebox"]' in text
    targets = set(re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE))
    for name, pod in pods(rendered(overlay)).items():
        container = pod["containers"][0]
        assert pod["securityContext"]["runAsUser"] == int(user)
        assert re.sub(r"^.*/(mattebox-)?|:.*$", "", container["image"]) in targets
        if name != "web":
            probes = [container[f"{kind}Probe"]["exec"]["command"][-1] for kind in ("startup", "liveness", "readiness")]
            assert all("$MATTEBOX_HEALTH_FILE" in probe for probe in probes)
            assert str(Path(file).parent) in {mount["mountPath"] for mount in container["volumeMounts"]}


@every_overlay
def test_there_is_time_to_shut_down(overlay: str) -> None:
    manifests = rendered(overlay)
    web = pods(manifests)["web"]
    pause_s = web["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert web["terminationGracePeriodSeconds"] > pause_s + _GRACE_S
    drain_s = float(environment(manifests, "live-worker", SECRETS)["MATTEBOX_DRAIN_S"])
    assert drain_s >= 600
    assert pods(manifests)["live-worker"]["terminationGracePeriodSeconds"] > drain_s + _STOP_S
    assert pods(manifests)["file-worker"]["terminationGracePeriodSeconds"] >= 600


def test_overlays_differ_in_what_they_are_for() -> None:
    cpu, gpu, s3, sentinel = (rendered(name) for name in ("cpu", "gpu", "s3", "sentinel"))
    for name in ("live-worker", "file-worker"):
        assert "nvidia.com/gpu" not in containers(cpu)[name]["resources"]["limits"]
        assert containers(gpu)[name]["resources"]["limits"]["nvidia.com/gpu"] == 1
        assert "worker-cuda:" in containers(gpu)[name]["image"]
        assert pods(gpu)[name]["tolerations"]
    assert "nvidia.com/gpu" not in containers(gpu)["web"]["resources"]["limits"]
    assert set(of_kind(s3, "PersistentVolumeClaim")) == {"mattebox-weights"}
    assert all("sessionAffinity" not in of_kind(found, "Service")["web"]["spec"] for found in (cpu, gpu, s3, sentinel))
    for name in containers(sentinel):
        url = environment(sentinel, name, SECRETS)["REDIS_URL"]
        assert url.startswith("redis+sentinel://:secret@")
    both = rendered(ALL)
    assert environment(both, "file-worker", SECRETS)["REDIS_URL"].startswith("redis+sentinel://")
    assert environment(both, "file-worker", SECRETS)["MATTEBOX_STORAGE"].startswith("s3://")
    assert "worker-cuda:" in containers(both)["file-worker"]["image"]


@every_overlay
def test_images_have_the_version_of_the_product(overlay: str) -> None:
    assert {each["image"].rpartition(":")[2] for each in containers(rendered(overlay)).values()} == {__version__}
