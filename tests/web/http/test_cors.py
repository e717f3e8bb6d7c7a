"""Pages of other sites at WHIP and WHEP: what browsers are told, and which requests pass."""

import httpx
import pytest
from pydantic import SecretStr

from stream.settings import Settings
from tests.waiting import PATIENCE_S
from tests.web.http_checks import FRAGMENT, SDP, problem
from tests.web.running_site import Site, running
from web.http.auth import COOKIE

FOREIGN = "https://page.example"
ENDPOINTS = ("/whip/cors", "/whep/cors", "/whip/cors/x", "/whep/cors/x", "/whip/.hidden")
EXPOSED = {
    "Location",
    "Link",
    "ETag",
    "Accept-Patch",
    "Retry-After",
    "WWW-Authenticate",
    "Access-Control-Allow-Methods",
}


def preflight(http: httpx.Client, path: str, method: str = "POST", origin: str = FOREIGN) -> httpx.Response:
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization,content-type"}
    return http.options(path, headers={"Origin": origin} | asked)


def listed(response: httpx.Response, header: str) -> set[str]:
    return {name.strip() for name in response.headers[header].split(",")}


def cors(response: httpx.Response) -> list[str]:
    assert "access-control-allow-credentials" not in response.headers, "cookies are for the server's own pages"
    return [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.long
@pytest.mark.parametrize("origin", [FOREIGN, "http://127.0.0.1:1", "null"])
def test_with_tokens_any_origin_may_ask(users: Site, origin: str) -> None:
    with users.client() as http:
        for path in ENDPOINTS:
            for method in ("POST", "PATCH", "DELETE", "OPTIONS"):
                response = preflight(http, path, method, origin)
                assert (response.status_code, response.text) == (204, "")
                assert response.headers["access-control-allow-origin"] == "*"
                assert listed(response, "access-control-allow-methods") == {"POST", "PATCH", "DELETE", "OPTIONS"}
                assert {"Authorization", "Content-Type", "If-Match"} <= listed(response, "access-control-allow-headers")
                assert cors(response)


@pytest.mark.long
def test_with_tokens_responses_and_errors_can_be_read(users: Site, camera_offer: str) -> None:
    with users.client() as http:
        for path, status in (("/whip/cors", 401), ("/whep/cors", 401), ("/whip/.hidden", 401)):
            refused = http.post(path, content="x", headers=SDP | {"Origin": FOREIGN})
            assert refused.status_code == status
            assert refused.headers["access-control-allow-origin"] == "*"
            assert listed(refused, "access-control-expose-headers") >= EXPOSED
            assert cors(refused)
    with users.client("alice-token") as alice:
        foreign = SDP | {"Origin": FOREIGN}
        made = alice.post("/whip/cors", content=camera_offer, headers=foreign)
        assert made.status_code == 201
        wrong = {
            "unreadable offer": alice.post("/whip/cors", content="{}", headers=foreign),
            "no stream": alice.post("/whep/nobody", content=camera_offer, headers=foreign),
            "type": alice.post("/whip/cors", json={}, headers={"Origin": FOREIGN}),
            "size": alice.post("/whip/cors", content=b"x" * 131_073, headers=foreign),
            "method": alice.put("/whip/cors", content=b"", headers=foreign),
            "tag": alice.patch(
                made.headers["location"],
                content="a=x",
                headers={"Origin": FOREIGN, "Content-Type": FRAGMENT, "If-Match": '"other"'},
            ),
            "session": alice.delete("/whip/cors/none", headers={"Origin": FOREIGN}),
        }
        assert [response.status_code for response in wrong.values()] == [422, 404, 415, 413, 405, 412, 404]
        for what, response in {"made": made, **wrong}.items():
            assert response.headers["access-control-allow-origin"] == "*", what
            assert listed(response, "access-control-expose-headers") >= EXPOSED, what
            assert cors(response), what
        assert alice.delete(made.headers["location"], headers={"Origin": FOREIGN}).status_code == 200


def test_an_internal_error_can_be_read(users: Site, viewer_offer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(users.store, "stream", broken)
    with users.client("alice-token") as alice:
        failed = alice.post("/whep/cors", content=viewer_offer, headers=SDP | {"Origin": FOREIGN})
        problem(failed, 500, "internal")
        assert failed.headers["access-control-allow-origin"] == "*"
        assert listed(failed, "access-control-expose-headers") >= EXPOSED


def test_a_plain_options_request_says_which_methods_there_are(users: Site) -> None:
    """@eyevinn/whip-web-client sends candidates if it can read PATCH there."""
    with users.client("alice-token") as http:
        response = http.options("/whip/cors", headers={"Origin": FOREIGN})
        assert (response.status_code, response.headers["accept-post"]) == (200, "application/sdp")
        assert "PATCH" in listed(response, "access-control-allow-methods")
        assert "Access-Control-Allow-Methods" in listed(response, "access-control-expose-headers")


def test_a_cookie_is_of_no_use_to_other_sites(users: Site, camera_offer: str) -> None:
    """Even with a token of its own, such a page acts with what that token allows, never as the visitor."""
    cookie = httpx.post(f"{users.url}/api/login", json={"token": "alice-token"}, timeout=PATIENCE_S).cookies[COOKIE]
    signed_in = SDP | {"Cookie": f"{COOKIE}={cookie}"}
    with users.client() as http:
        assert http.post("/whip/cookie", content=camera_offer, headers=signed_in).status_code == 201
        foreign = signed_in | {"Origin": FOREIGN}
        problem(http.post("/whip/cookie", content=camera_offer, headers=foreign), 403, "origin")
        bogus = foreign | {"Authorization": "Bearer bogus"}
        problem(http.post("/whip/cookie", content=camera_offer, headers=bogus), 401, "sign_in")
        problem(http.post("/whip/cookie?token=bogus", content=camera_offer, headers=foreign), 401, "sign_in")
        viewing = foreign | {"Authorization": f"Bearer {users.context.gate.issue('view', 'alice', 'cookie', 60)}"}
        problem(http.post("/whip/cookie", content=camera_offer, headers=viewing), 403, "link_scope")


def test_without_tokens_other_sites_stay_out(site: Site, camera_offer: str) -> None:
    """Whoever reaches the server may use it, and any page in a browser on this machine reaches it."""
    with site.client() as http:
        for path in ENDPOINTS:
            assert cors(preflight(http, path)) == []
            assert cors(preflight(http, f"{path}?token=bogus")) == []
        forms = [{}, {"Authorization": "Bearer bogus"}, {"Authorization": f"Bearer {link(site, 'publish', 'cors')}"}]
        for headers in forms:
            refused = http.post("/whip/cors", content=camera_offer, headers=SDP | {"Origin": FOREIGN} | headers)
            problem(refused, 403, "origin")
            assert cors(refused) == []
        for query in ("?token=bogus", "?token=", f"?token={link(site, 'publish', 'cors')}&token=bogus"):
            problem(
                http.post(f"/whip/cors{query}", content=camera_offer, headers=SDP | {"Origin": FOREIGN}), 403, "origin"
            )


def link(site: Site, kind: str, name: str) -> str:
    with site.client() as http:
        return str(http.post("/api/links", json={"kind": kind, "name": name}).json()["token"])


def test_without_tokens_a_signed_link_in_the_address_lets_a_page_in(site: Site, camera_offer: str) -> None:
    address = f"/whip/cors?token={link(site, 'publish', 'cors')}"
    with site.client() as http:
        asked = preflight(http, address)
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, FOREIGN)
        assert "origin" in asked.headers["vary"].lower()
        made = http.post(address, content=camera_offer, headers=SDP | {"Origin": FOREIGN})
        assert (made.status_code, made.headers["access-control-allow-origin"]) == (201, FOREIGN)
        session = made.headers["location"]
        assert preflight(http, session, "DELETE").status_code == 204, "it carries the link's token"
        problem(http.delete(session.partition("?")[0], headers={"Origin": FOREIGN}), 403, "origin")
        other = f"/whip/other?token={link(site, 'publish', 'cors')}"
        problem(http.post(other, content=camera_offer, headers=SDP | {"Origin": FOREIGN}), 403, "link_scope")
        assert http.delete(session, headers={"Origin": FOREIGN}).status_code == 200


def test_listed_origins_need_no_token_on_a_server_without_tokens(
    settings: Settings, redis_url: str, camera_offer: str
) -> None:
    listing = settings.model_copy(update={"origins": f"{FOREIGN}, https://b.example"})
    with running(listing, redis_url) as site, site.client() as http:
        assert preflight(http, "/whip/cors").headers["access-control-allow-origin"] == FOREIGN
        assert cors(preflight(http, "/whip/cors", origin="https://c.example")) == []
        made = http.post("/whip/cors", content=camera_offer, headers=SDP | {"Origin": FOREIGN})
        assert (made.status_code, made.headers["access-control-allow-origin"]) == (201, FOREIGN)
        assert listed(made, "access-control-expose-headers") >= EXPOSED
        assert cors(preflight(http, "/api/sessions")) == [], "only WHIP and WHEP are for other sites"


def test_the_rest_of_the_api_is_for_the_servers_own_pages(users: Site) -> None:
    with users.client("alice-token") as alice:
        for path in ("/api/sessions", "/api/links", "/api/uploads", "/whipped", "/whip"):
            assert cors(preflight(alice, path)) == []
        body = {"kind": "view", "name": "x"}
        refused = alice.post("/api/links", json=body, headers={"Origin": FOREIGN})
        problem(refused, 403, "origin")
        assert cors(refused) == []


def test_host_names_are_checked_before_anything_else(site: Site, camera_offer: str) -> None:
    with site.client() as http:
        rebound = SDP | {"Origin": "http://evil.example", "Host": "evil.example"}
        problem(http.post("/whip/cors", content=camera_offer, headers=rebound), 403, "host")


def test_one_users_token_is_enough(settings: Settings, redis_url: str) -> None:
    single = settings.model_copy(update={"token": SecretStr("mine")})
    with running(single, redis_url, worker=False) as site, site.client() as http:
        assert preflight(http, "/whep/x").headers["access-control-allow-origin"] == "*"
