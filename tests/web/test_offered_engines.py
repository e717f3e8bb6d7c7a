"""An engine without default weights is offered only where the operator selected some."""

import httpx
import pytest

from stream.records.engines import ENGINES, offered
from stream.settings import Settings
from tests.web.http_checks import begin, problem
from tests.web.running_site import running

SET = "u2netp"


def engines(http: httpx.Client) -> tuple[list[str], list[str]]:
    """Those in the schema of the options, and those that are described."""
    menu = http.get("/api/options").json()
    return menu["options"]["properties"]["engine"]["enum"], [engine["name"] for engine in menu["engines"]]


def test_the_default_settings_offer_every_other_engine() -> None:
    assert list(offered(Settings())) == [name for name in ENGINES if name != "onnx"]
    assert list(offered(Settings(onnx=SET))) == list(ENGINES)


def test_it_is_not_offered_by_default(http: httpx.Client, camera_offer: str) -> None:
    assert engines(http) == (["auto", *offered(Settings())], list(offered(Settings())))
    response = begin(http, camera_offer, options={"engine": "onnx"})
    faults = problem(response, 422, "invalid")["errors"]
    assert faults[0]["field"] == "options.engine"
    assert "onnx" not in faults[0]["detail"]


def test_it_is_offered_where_it_has_weights(settings: Settings, redis_url: str, camera_offer: str) -> None:
    with running(settings.model_copy(update={"onnx": SET}), redis_url) as site, site.client() as http:
        assert engines(http) == (["auto", *ENGINES], list(ENGINES))
        assert begin(http, camera_offer, options={"engine": "onnx"}).status_code == 201


@pytest.mark.parametrize("field", ["weights", "onnx"])
def test_a_client_cannot_choose_the_file(http: httpx.Client, camera_offer: str, field: str) -> None:
    for path, body in (("/api/sessions", {"sdp": camera_offer}), ("/api/jobs", {"url": "https://example.org/a.mp4"})):
        response = http.post(path, json=body | {"options": {field: "/etc/passwd.onnx"}})
        assert response.status_code == 422
        assert field in response.text
