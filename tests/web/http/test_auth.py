import time

import httpx
import pytest
from pydantic import SecretStr

from stream.errors import UsageError
from stream.settings import Settings
from tests.waiting import PATIENCE_S
from tests.web.http_checks import SDP, begin, problem
from tests.web.running_site import Site, running
from web.http.auth import COOKIE, Gate, read_tokens
from web.http.signing import Claim, is_valid, load_secret, read_claim, sign

READS = ["/api/sessions", "/api/login", "/api/backgrounds", "/api/ice-servers", "/metrics"]


def test_requests_without_a_valid_token_are_refused(users: Site, camera_offer: str) -> None:
    with users.client() as http:
        for path in READS:
            response = http.get(path)
            problem(response, 401, "sign_in")
            assert response.headers["www-authenticate"].startswith("Bearer")
        problem(begin(http, camera_offer), 401, "sign_in")
        problem(http.post("/whip/x", content=camera_offer, headers=SDP), 401, "sign_in")
        assert http.get("/livez").is_success
        assert http.get("/readyz").is_success
        assert http.get("/").is_success, "the page asks for a token"
    for token in ("wrong", "alice", "alice-toke", "alice-token2", "é"):
        with users.client() as http:
            headers = httpx.Headers([(b"Authorization", f"Bearer {token}".encode())])
            problem(http.get("/api/sessions", headers=headers), 401, "sign_in")


def test_another_users_sessions_are_not_found(users: Site, camera_offer: str) -> None:
    with users.client("alice-token") as alice, users.client("bob-token") as bob:
        path = begin(alice, camera_offer).headers["location"]
        assert alice.get(path).is_success
        problem(bob.get(path), 404, "not_found")
        problem(bob.delete(path), 404, "not_found")
        problem(bob.patch(path, json={"options": {}}), 404, "not_found")
        assert bob.get("/api/sessions").json()["sessions"] == []
        begin(bob, camera_offer, replaces=path.rpartition("/")[2])
        assert alice.get(path).json()["state"] != "ended", "bob's offer does not replace alice's session"


def test_signing_in_and_out(users: Site) -> None:
    with users.client() as http:
        problem(http.post("/api/login", json={"token": "wrong"}), 401, "wrong_token")
        response = http.post("/api/login", json={"token": "bob-token"})
        assert response.status_code == 204
        cookie = response.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "secure" not in cookie, "this is plain http on loopback"
        assert http.get("/api/login").json() == {"user": "bob", "tokens": True}
        assert http.delete("/api/login").status_code == 204
        problem(http.get("/api/login"), 401, "sign_in")


def test_login_attempts_are_limited(users: Site) -> None:
    with users.client() as http:
        codes = [http.post("/api/login", json={"token": f"guess{n}"}).status_code for n in range(12)]
    assert codes == [401] * 10 + [429] * 2


def test_forged_and_expired_cookies_are_refused(users: Site, settings: Settings) -> None:
    gate = Gate(settings.model_copy(update={"tokens": SecretStr("alice:alice-token,bob:bob-token")}))
    good = gate.issue("login", "alice", "", 60)
    other = Gate(settings.model_copy(update={"tokens": SecretStr("alice:changed")})).issue("login", "alice", "", 60)
    body, _, mac = good.partition(".")
    forged = sign(Claim(scope="login", owner="bob", expires_s=time.time() + 60), b"key").partition(".")[0]
    statuses = {
        good: 200,
        gate.issue("login", "alice", "", -1): 401,
        gate.issue("login", "carol", "", 60): 401,
        gate.issue("view", "alice", "studio", 60): 401,
        other: 401,
        f"{forged}.{mac}": 401,
        body: 401,
        f"{good}x": 401,
        "nonsense": 401,
    }
    for cookie, status in statuses.items():
        with users.client() as http:
            assert http.get("/api/sessions", headers={"Cookie": f"{COOKIE}={cookie}"}).status_code == status


def test_a_link_allows_one_action_on_one_stream(users: Site, camera_offer: str, viewer_offer: str) -> None:
    with users.client("alice-token") as alice, users.client() as player:
        made = alice.post("/api/links", json={"kind": "publish", "name": "studio", "expires_s": 60})
        assert made.status_code == 201
        publisher = made.json()
        published = player.post(publisher["url"], content=camera_offer, headers=SDP)
        assert published.status_code == 201
        location = published.headers["location"]
        watch = alice.post("/api/links", json={"kind": "view", "name": "studio"}).json()
        assert watch["page"].endswith(f"/view/studio#token={watch['token']}")
        assert watch["obs"].endswith(f"/obs/studio#token={watch['token']}")
        assert publisher["page"] == publisher["obs"] == ""
        for _ in range(50):
            seen = player.post(watch["url"], content=viewer_offer, headers=SDP)
            if seen.status_code == 201:
                break
        assert seen.status_code == 201
        as_bearer = {"Authorization": f"Bearer {watch['token']}"}
        assert player.delete(seen.headers["location"], headers=as_bearer).status_code == 200
        problem(player.delete(location, headers=as_bearer), 403, "link_scope")
        problem(player.get("/api/sessions", headers=as_bearer), 403, "link_scope")
        problem(player.post("/whep/other", content=viewer_offer, headers=SDP | as_bearer), 403, "link_scope")
        stacked = "/whep/other?alpha=stacked"
        problem(player.post(stacked, content=viewer_offer, headers=SDP | as_bearer), 403, "link_scope")
        problem(player.post("/api/links", json={"kind": "view", "name": "x"}, headers=as_bearer), 403, "link_scope")
        problem(player.post("/whep/studio?token=alice-token", content=viewer_offer, headers=SDP), 401, "sign_in")
        ended = player.delete(location, headers={"Authorization": f"Bearer {publisher['token']}"})
        assert ended.status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "all", "name": "x"}, "kind"),
        ({"kind": "view", "name": "../x"}, "name"),
        ({"kind": "view", "name": "x", "expires_s": 10**9}, "expires_s"),
        ({"kind": "view", "name": "x", "expires_s": -1}, "expires_s"),
        ({"kind": "view"}, "name"),
    ],
)
def test_invalid_links_are_refused(users: Site, body: dict[str, object], field: str) -> None:
    with users.client("alice-token") as http:
        problem(http.post("/api/links", json=body), 422, "invalid", field)


def test_a_link_expires() -> None:
    token = sign(Claim(scope="view", owner="a", name="n", expires_s=1000.0), b"key")
    assert is_valid(token, b"key", now_s=999.0)
    assert not is_valid(token, b"key", now_s=1000.0)
    assert not is_valid(token, b"other", now_s=999.0)
    assert read_claim("%%%.x") is None


def test_the_secret_is_created_once_and_private(settings: Settings) -> None:
    first = load_secret(settings.data_dir)
    assert len(first) == 32
    assert load_secret(settings.data_dir) == first
    assert (settings.data_dir / "secret").stat().st_mode & 0o77 == 0


@pytest.mark.parametrize("tokens", ["alice", ":x", "alice:", "a:x,a:y", "a:x,b:x", "../a:x", "a b:x"])
def test_invalid_tokens_are_a_usage_error(settings: Settings, tokens: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_tokens(settings.model_copy(update={"tokens": SecretStr(tokens)}))
    assert ":x" not in str(caught.value)


def test_a_single_user(settings: Settings, redis_url: str) -> None:
    with (
        running(settings.model_copy(update={"token": SecretStr("mine")}), redis_url) as site,
        site.client("mine") as http,
    ):
        assert http.get("/api/login").json() == {"user": "user", "tokens": True}


def test_settings_do_not_show_tokens(settings: Settings) -> None:
    shown = repr(settings.model_copy(update={"token": SecretStr("mine"), "secret": SecretStr("key")}))
    assert "mine" not in shown
    assert "key" not in shown.replace("token", "")


def test_offers_are_limited(settings: Settings, redis_url: str, camera_offer: str, viewer_offer: str) -> None:
    """The first offers are served, the others get 429 with Retry-After."""
    few = settings.model_copy(update={"max_offers": 5})
    with running(few, redis_url) as site, site.client() as http:
        codes = [begin(http, camera_offer).status_code for _ in range(8)]
        assert codes == [201] * 5 + [429] * 3
        response = http.post("/whep/x", content=viewer_offer, headers=SDP)
        problem(response, 429, "too_many")
        assert 1 <= int(response.headers["retry-after"]) <= 10
        assert http.get("/api/sessions").is_success


def login_status(http: httpx.Client, **headers: str) -> int:
    return http.post("/api/login", json={"token": "x"}, headers=headers).status_code


def test_only_the_servers_own_origin_may_post(http: httpx.Client, site: Site) -> None:
    port = site.url.rpartition(":")[2]
    own = {"Origin": f"http://localhost:{port}", "Host": f"localhost:{port}"}
    assert login_status(http, **own) == 401
    assert login_status(http) == 401
    for origin in ("https://evil.example", "null", f"http://localhost:{port}1", "http://localhost", ""):
        assert login_status(http, **own | {"Origin": origin}) == 403, origin


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", "[", ""])
def test_other_host_names_are_refused(http: httpx.Client, host: str) -> None:
    """DNS rebinding: the browser sends requests for the attacker's site to this server."""
    problem(http.get("/api/sessions", headers={"Host": host}), 403, "host")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.8.9.1:80", "[::1]:8080", "me.localhost"]
)
def test_loopback_host_names_are_accepted(http: httpx.Client, host: str) -> None:
    assert http.get("/api/sessions", headers={"Host": host}).is_success


@pytest.mark.long
def test_with_tokens_any_host_but_only_allowed_origins(settings: Settings, redis_url: str) -> None:
    with_origin = settings.model_copy(update={"token": SecretStr("mine"), "origins": "https://studio.example"})
    with running(with_origin, redis_url) as site, site.client("mine") as http:
        assert http.get("/api/login", headers={"Host": "studio.example"}).is_success
        link = {"kind": "view", "name": "x"}
        for origin, status in (("https://evil.example", 403), ("https://studio.example", 201)):
            assert http.post("/api/links", json=link, headers={"Origin": origin}).status_code == status


@pytest.mark.long
def test_wrong_bearer_tokens_are_limited_like_sign_ins(users: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.http.token_check._SLOW_S", 0.05)
    with users.client("alice-token") as alice, users.client() as http:
        assert alice.get("/api/sessions").is_success
        cookie = httpx.post(f"{users.url}/api/login", json={"token": "alice-token"}, timeout=PATIENCE_S).cookies[COOKIE]
        guesses = [http.get("/api/sessions", headers={"Authorization": f"Bearer guess{n}"}) for n in range(12)]
        codes = [guess.status_code for guess in guesses]
        assert codes.count(401) + codes.count(429) == 12
        assert 8 <= codes.index(429) <= 10, "the first requests with right tokens count too"
        problem(guesses[-1], 429, "too_many")
        assert int(guesses[-1].headers["retry-after"]) > 0
        problem(http.post("/api/login", json={"token": "guess"}), 429, "too_many")
        assert alice.get("/api/sessions").is_success, "another's mistakes do not lock a known user out"
        assert http.get("/api/sessions", headers={"Cookie": f"{COOKIE}={cookie}"}).is_success
    with users.client("bob-token") as bob:
        assert bob.get("/api/sessions").is_success, "nor a user who is new at this address"
    link = users.context.gate.issue("view", "alice", "x", 60)
    with users.client(link) as viewer:
        problem(viewer.get("/api/sessions"), 403, "link_scope")


@pytest.mark.long
def test_signing_in_works_while_redis_is_down(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.http.token_check._SLOW_S", 0.05)
    with_token = settings.model_copy(update={"token": SecretStr("mine")})
    with running(with_token, f"unix://{settings.data_dir}/nothing.sock", worker=False) as site, site.client() as http:
        problem(http.post("/api/login", json={"token": "wrong"}), 401, "wrong_token")
        assert http.post("/api/login", json={"token": "mine"}).status_code == 204
        assert http.get("/api/login").json()["user"] == "user"
