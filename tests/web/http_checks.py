"""HTTP requests and checks of responses that many tests of the web share."""

from typing import Any

import httpx

from tests import waiting

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = "application/trickle-ice-sdpfrag"


def begin(http: httpx.Client, sdp: str, **more: object) -> httpx.Response:
    return http.post("/api/sessions", json={"sdp": sdp, "type": "offer", **more})


def problem(response: httpx.Response, status: int, code: str, field: str = "") -> dict[str, Any]:
    """The body of a problem response, after checking its format."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["detail"]
    if field:
        assert field in [fault["field"] for fault in body["errors"]]
    return body


def until(http: httpx.Client, path: str, **fields: object) -> dict[str, Any]:
    """Poll until the record has these fields."""

    def found() -> dict[str, Any] | None:
        record: dict[str, Any] = http.get(path).json()
        return record if all(record.get(name) == value for name, value in fields.items()) else None

    return waiting.until(found, f"{path} has {fields}") or {}
