"""docker/compose.yaml and .env.example are valid, complete, and fit the program."""

import copy
import re
from typing import Any

import jsonschema
import pytest
from check_jsonschema.builtin_schemas import get_builtin_schema
from pydantic import ValidationError

from stream.settings import Settings
from tests.docker import files
from tests.docker.files import DOCKER, compose, example, own_services, services
from web.http.auth import read_tokens
from web.server import check_bind

TEXT = (DOCKER / "compose.yaml").read_text()
SCHEMA = get_builtin_schema("vendor.compose-spec")


def test_the_file_is_valid_by_the_schema_of_compose() -> None:
    jsonschema.validate(compose(), SCHEMA)


def test_a_misspelled_key_is_invalid() -> None:
    wrong: dict[str, Any] = copy.deepcopy(compose())
    wrong["services"]["web"]["volume"] = []
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)


def test_every_environment_variable_is_a_setting() -> None:
    used = {name for service in services().values() for name in service.get("environment", {})} | set(example())
    assert {"REDIS_URL", "MATTEBOX_TOKENS", "MATTEBOX_UDP_PORTS"} <= used
    assert used <= files.settings_variables() | files.OTHER_VARIABLES


def test_every_variable_of_the_file_is_in_the_example() -> None:
    used = set(files.interpolated(TEXT)) - {"MATTEBOX_ICE_SERVERS"}  # computed, unless it is set
    used |= {secret["environment"] for secret in compose()["secrets"].values()}
    assert used <= set(example())


def test_the_example_asks_for_what_the_file_requires() -> None:
    required = set(re.findall(r"\$\{([A-Z_0-9]+):\?\}", TEXT))
    assert required - {"MATTEBOX_UDP_PORTS"} | {"COMPOSE_PROFILES"} == files.to_choose()


def test_the_example_has_no_tokens_and_no_secrets() -> None:
    found = example()
    assert not [name for name in found if re.search("TOKEN|SECRET|KEY", name) and found[name]]


@pytest.mark.parametrize("name", own_services())
def test_its_command_is_one_of_mattebox(name: str) -> None:
    command = own_services()[name]["command"]
    assert files.parse(command).params["as_json"] is True


def test_a_command_with_an_unknown_option_does_not_parse() -> None:
    with pytest.raises(Exception, match="--fro"):
        files.parse(["worker", "--fro", "live"])


def filled(text: str, values: dict[str, str]) -> str:
    """Replace ${NAME}, ${NAME:?} and ${NAME:-default}, inner ones first."""
    while True:
        replaced = re.sub(r"\$\{([A-Z_0-9]+)(?::-([^${}]*)|:\?)?\}", lambda m: values.get(m[1], "") or m[2] or "", text)
        if replaced == text:
            return text
        text = replaced


@pytest.mark.parametrize("name", own_services())
def test_its_environment_is_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = example() | {"MATTEBOX_TOKENS": "ann:t0ken", "MATTEBOX_TURN_SECRET": "secret"}
    service = own_services()[name]
    for variable, value in {**chosen, **service["environment"]}.items():
        if variable.startswith("MATTEBOX_") or variable == "REDIS_URL":
            monkeypatch.setenv(variable, filled(value, chosen))
    settings = Settings()
    assert settings.redis_url == "redis://valkey:6379"
    assert settings.ice_server_urls()[2] == "turn:mattebox.example.org:3478?transport=tcp"
    assert settings.udp_port_range() == (40000, 40099)
    if name == "web":
        check_bind(settings, "0.0.0.0")
        assert read_tokens(settings) == {"ann": "t0ken"}
    monkeypatch.setenv("MATTEBOX_UDP_PORTS", "40000")
    with pytest.raises(ValidationError):
        Settings()


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_each_kind_of_machine_has_a_worker_for_live_video_and_one_for_files(profile: str) -> None:
    chosen = [s["command"][:3] for s in own_services().values() if profile in s.get("profiles", ())]
    assert sorted(chosen) == [["worker", "--for", "files"], ["worker", "--for", "live"]]


def test_each_service_builds_the_image_that_it_runs() -> None:
    targets = {name: service["build"]["target"] for name, service in own_services().items()}
    cpu, gpu = dict.fromkeys(("live", "files"), "worker"), dict.fromkeys(("live-gpu", "files-gpu"), "worker-cuda")
    assert targets == {"web": "web"} | cpu | gpu
    for name, target in targets.items():
        assert own_services()[name]["image"].startswith(f"mattebox/{target}:")
        reserved = own_services()[name].get("deploy")
        assert (reserved is not None) is (target == "worker-cuda")


def test_live_workers_publish_the_ports_for_media() -> None:
    live = [service for service in own_services().values() if "live" in service["command"]]
    assert [service["ports"] for service in live] == [["${MATTEBOX_UDP_PORTS:?}:${MATTEBOX_UDP_PORTS:?}/udp"]] * 2


def test_only_the_proxy_is_reachable_from_outside_beside_media() -> None:
    ports = {name: service["ports"] for name, service in services().items() if "ports" in service}
    assert sorted(ports) == ["caddy", "live", "live-gpu", "prometheus"]
    assert all(port.startswith("127.0.0.1:") for port in ports["prometheus"])


@pytest.mark.parametrize("name", [name for name in services() if name != "s3-bucket"])
def test_no_service_has_more_rights_than_it_needs(name: str) -> None:
    service = services()[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert set(service.get("cap_add", [])) <= {"NET_BIND_SERVICE"}
    assert not service.get("privileged")


@pytest.mark.parametrize("name", services())
def test_its_image_has_a_version(name: str) -> None:
    image = filled(services()[name]["image"], {})
    assert re.search(r":v?\d+\.\d+\.\d+(-\w+)?$", image), image


def test_our_images_have_the_version_of_the_project() -> None:
    version = re.search(r'^version = "(.*)"', (files.ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert {filled(service["image"], {}).partition(":")[2] for service in own_services().values()} == {version[1]}
    assert example()["IMAGE_TAG"] == version[1]


def test_mounted_files_exist_and_volumes_are_declared() -> None:
    used = [volume.split(":")[0] for service in services().values() for volume in service.get("volumes", [])]
    mounted = {name for name in used if name.startswith(".")}
    assert mounted == {"./Caddyfile", "./turnserver.conf", "./prometheus.yml", "./monitoring/alerts.yaml"}
    assert all((DOCKER / name).is_file() for name in mounted)
    assert set(used) - mounted == set(compose()["volumes"])


def test_web_and_turn_know_the_network_of_the_containers() -> None:
    (config,) = compose()["networks"]["mattebox"]["ipam"]["config"]
    assert services()["web"]["environment"]["MATTEBOX_TRUSTED_PROXIES"] == config["subnet"]
    network = config["subnet"].removesuffix(".0/24")
    assert f"allowed-peer-ip={network}.0-{network}.255\n" in (DOCKER / "turnserver.conf").read_text()
