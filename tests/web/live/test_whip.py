import httpx
import pytest

from stream.settings import Settings
from tests import waiting
from tests.web.http_checks import FRAGMENT, SDP, begin, problem, until
from tests.web.live_worker_double import CANNED, Double
from tests.web.running_site import Site, running


def publish(http: httpx.Client, sdp: str, name: str = "studio", query: str = "") -> httpx.Response:
    return http.post(f"/whip/{name}{query}", content=sdp, headers=SDP)


def live(http: httpx.Client, sdp: str, name: str) -> str:
    """Publish, wait until the session is live, and return its path in the API."""
    response = publish(http, sdp, name)
    assert response.status_code == 201, response.text
    path = f"/api/sessions/{response.headers['location'].rpartition('/')[2]}"
    until(http, path, state="live")
    return path


def test_publish_and_stop(http: httpx.Client, camera_offer: str) -> None:
    response = publish(http, camera_offer, "one")
    assert (response.status_code, response.text) == (201, CANNED)
    assert response.headers["content-type"] == "application/sdp"
    location = response.headers["location"]
    assert location.startswith("/whip/one/")
    assert response.headers["etag"] == f'"{location.rpartition("/")[2]}"'
    assert http.delete(location).status_code == 200
    record = until(http, f"/api/sessions/{location.rpartition('/')[2]}", state="ended")
    assert (record["kind"], record["name"], record["reason"]) == ("publish", "one", "deleted")


def test_options_of_the_edges_are_parameters_of_the_address(http: httpx.Client, camera_offer: str) -> None:
    response = publish(http, camera_offer, "edged", "?background=blur&edges.feather=2.5&edges.refine=off")
    assert response.status_code == 201, response.text
    edges = http.get(f"/api/sessions/{response.headers['location'].rpartition('/')[2]}").json()["options"]["edges"]
    assert (edges["feather"], edges["refine"], edges["contrast"]) == (2.5, "off", 0.0)
    refused = publish(http, camera_offer, "edged", "?edges.feather=99")
    assert "options.edges.feather" in [fault["field"] for fault in refused.json()["errors"]]
    assert publish(http, camera_offer, "edged", "?edges.nonsense=1").status_code == 422


def test_several_viewers_of_one_stream(
    http: httpx.Client, worker: Double, camera_offer: str, viewer_offer: str
) -> None:
    stream = live(http, camera_offer, "two")
    viewers = [http.post("/whep/two", content=viewer_offer, headers=SDP) for _ in range(3)]
    assert [v.status_code for v in viewers] == [201, 201, 201]
    for viewer in viewers:
        location = viewer.headers["location"]
        record = http.get(f"/api/sessions/{location.rpartition('/')[2]}").json()
        assert (record["kind"], record["name"]) == ("view", "two")
        problem(http.patch(f"/api/sessions/{record['id']}", json={"options": {}}), 409, "viewer")
        assert http.delete(location).status_code == 200
    assert http.get(stream).json()["state"] == "live"
    assert sum(c.kind == "view" for c in worker.commands) == 3


def test_a_viewer_may_ask_for_colour_above_alpha(
    http: httpx.Client, worker: Double, camera_offer: str, viewer_offer: str
) -> None:
    live(http, camera_offer, "cut")
    for query, alpha in (("", ""), ("?alpha=stacked", "stacked")):
        seen = http.post(f"/whep/cut{query}", content=viewer_offer, headers=SDP)
        assert seen.status_code == 201
        session = seen.headers["location"].rpartition("/")[2]
        assert worker.sessions[session].alpha == alpha
    for query in ("?alpha=straight", "?alpha="):
        problem(http.post(f"/whep/cut{query}", content=viewer_offer, headers=SDP), 422, "invalid", "alpha")


def test_viewing_before_anyone_publishes_gets_404_with_retry_after(http: httpx.Client, viewer_offer: str) -> None:
    response = http.post("/whep/nobody", content=viewer_offer, headers=SDP)
    problem(response, 404, "not_live")
    assert int(response.headers["retry-after"]) >= 1


def test_the_same_owner_takes_over_a_name(http: httpx.Client, camera_offer: str) -> None:
    """OBS does so after a short network failure."""
    old = live(http, camera_offer, "three")
    live(http, camera_offer, "three")
    assert until(http, old, state="ended")["reason"] == "replaced"


def test_another_owner_cannot_take_over_a_name(users: Site, camera_offer: str, viewer_offer: str) -> None:
    with users.client("alice-token") as alice, users.client("bob-token") as bob:
        stream = live(alice, camera_offer, "four")
        problem(publish(bob, camera_offer, "four"), 409, "name_taken")
        problem(bob.post("/whep/four", content=viewer_offer, headers=SDP), 404, "not_live")
        assert alice.get(stream).json()["state"] == "live"
        problem(bob.get(stream), 404, "not_found")


def test_options_in_the_query(http: httpx.Client, camera_offer: str) -> None:
    response = publish(http, camera_offer, "five", "?background=blur:0.25&engine=chroma&key=%2300ff00")
    record = http.get(f"/api/sessions/{response.headers['location'].rpartition('/')[2]}").json()
    assert record["options"] | {"background": "blur:0.25", "engine": "chroma"} == record["options"]
    assert record["options"]["key"] == [0, 255, 0]
    problem(publish(http, camera_offer, "five", "?background=image:/etc/passwd"), 422, "bad_background")
    problem(publish(http, camera_offer, "five", "?nonsense=1"), 422, "invalid", "options.nonsense")


ROOMS = [
    "background=none", "view=overlay", "view=side-by-side", "background=blur:0", "background=blur:0.0",
    "background=blur:-0", "background=blur:00", "background=blur:0e9", "background=blur:1e-9", "background=blur:0.199",
    "background=blur:%200%20", "background=blur:0.1&view=matte",
]  # fmt: skip


@pytest.mark.parametrize("background", ["blur", "blur:0.2", "blur:1", "transparent", "green"])
def test_backgrounds_that_hide_the_room_need_no_permission(
    http: httpx.Client, camera_offer: str, background: str
) -> None:
    assert publish(http, camera_offer, "five", f"?background={background}").status_code == 201


@pytest.mark.parametrize("query", [f"?{room}" for room in ROOMS])
def test_viewers_see_the_room_only_with_show_room(http: httpx.Client, camera_offer: str, query: str) -> None:
    problem(publish(http, camera_offer, "six", query), 422, "shows_room")
    assert publish(http, camera_offer, "six", query + "&show_room=true").status_code == 201


def test_a_later_change_shows_the_room_only_with_show_room(http: httpx.Client, camera_offer: str) -> None:
    stream = live(http, camera_offer, "seven")
    problem(http.patch(stream, json={"options": {"background": "none"}}), 422, "shows_room", "options.background")
    problem(http.patch(stream, json={"options": {"background": "blur:0"}}), 422, "shows_room", "options.background")
    assert http.get(stream).json()["options"]["background"] == "color:#00ff00"
    meant = http.patch(stream, json={"options": {"background": "none"}, "show_room": True})
    assert meant.json()["options"]["background"] == "none"
    assert http.patch(stream, json={"options": {"temporal": "off"}}).status_code == 200, (
        "that shows no more of the room"
    )


def test_trickle(http: httpx.Client, worker: Double, camera_offer: str) -> None:
    response = publish(http, camera_offer, "eight")
    location, etag = response.headers["location"], response.headers["etag"]
    until(http, f"/api/sessions/{location.rpartition('/')[2]}", state="live")
    fragment = candidates_of(camera_offer)

    def patch(body: str | bytes = fragment, **headers: str) -> httpx.Response:
        all_headers = {"Content-Type": FRAGMENT} | {name.replace("_", "-"): value for name, value in headers.items()}
        return http.patch(location, content=body, headers=all_headers)

    assert patch(If_Match=etag).status_code == 204
    problem(patch(), 428, "if_match")
    problem(patch(If_Match='"other"'), 412, "if_match")
    problem(patch(If_Match=etag, Content_Type="application/json"), 415, "content_type")
    problem(patch(b"\xff\xfe", If_Match=etag), 400, "bad_sdp")
    problem(patch(b"", If_Match=etag), 400, "bad_sdp")
    problem(patch("GET / HTTP/1.1", If_Match=etag), 400, "bad_sdp")
    sent = waiting.until(lambda: [c.text for c in worker.commands if c.kind == "candidates"])
    assert sent == [fragment]


def candidates_of(sdp: str) -> str:
    """A fragment for the ICE session of an offer."""
    ufrag = next(line for line in sdp.splitlines() if line.startswith("a=ice-ufrag:"))
    return f"{ufrag}\r\na=ice-pwd:0123456789abcdef012345\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"


RESTART = "a=ice-ufrag:other\r\na=ice-pwd:0123456789abcdef012345\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"


@pytest.mark.parametrize("tag", ["*", ""])
def test_the_tag_may_be_any_and_only_another_ufrag_is_an_ice_restart(
    http: httpx.Client, worker: Double, camera_offer: str, viewer_offer: str, tag: str
) -> None:
    """`*` matches every session (RFC 9110); WHIP clients send it with ICE restarts (RFC 9725). tag: "": the ETag."""
    stream = publish(http, camera_offer, "any")
    until(http, f"/api/sessions/{stream.headers['location'].rpartition('/')[2]}", state="live")
    viewer = http.post("/whep/any", content=viewer_offer, headers=SDP)
    for made, offer in ((stream, camera_offer), (viewer, viewer_offer)):
        location = made.headers["location"]
        until(http, f"/api/sessions/{location.rpartition('/')[2]}", state="live")
        headers = {"Content-Type": FRAGMENT, "If-Match": tag or made.headers["etag"]}
        for fragment in (candidates_of(offer), "a=mid:0\r\n"):
            assert http.patch(location, content=fragment, headers=headers).status_code == 204
        problem(http.patch(location, content=RESTART, headers=headers), 422, "ice_restart", "ice-ufrag")
    waiting.until(lambda: sum(c.kind == "candidates" for c in worker.commands) == 4)


def test_candidates_of_a_viewer_need_no_tag(
    http: httpx.Client, worker: Double, camera_offer: str, viewer_offer: str
) -> None:
    """whip-whep sends none."""
    live(http, camera_offer, "trickling")
    viewer = http.post("/whep/trickling", content=viewer_offer, headers=SDP)
    location, etag = viewer.headers["location"], viewer.headers["etag"]
    until(http, f"/api/sessions/{location.rpartition('/')[2]}", state="live")
    for headers in ({}, {"If-Match": etag}, {"If-Match": f'"x", {etag}'}):
        sent = http.patch(location, content="a=mid:0\r\n", headers={"Content-Type": FRAGMENT} | headers)
        assert sent.status_code == 204
    wrong = http.patch(location, content="a=mid:0\r\n", headers={"Content-Type": FRAGMENT, "If-Match": '"other"'})
    problem(wrong, 412, "if_match")
    waiting.until(lambda: sum(c.kind == "candidates" for c in worker.commands) == 3)


def test_a_publisher_may_send_the_tag_in_the_header_etag(http: httpx.Client, camera_offer: str) -> None:
    """@eyevinn/whip-web-client does."""
    made = publish(http, camera_offer, "tagged")
    location, etag = made.headers["location"], made.headers["etag"]
    until(http, f"/api/sessions/{location.rpartition('/')[2]}", state="live")
    for tag, status in ((etag, 204), ('"other"', 412)):
        sent = http.patch(location, content="a=mid:0\r\n", headers={"Content-Type": FRAGMENT, "ETag": tag})
        assert sent.status_code == status


def test_a_links_token_stays_in_the_address_of_the_session(users: Site, camera_offer: str) -> None:
    """Clients that get a link as an address send no other credentials."""
    with users.client("alice-token") as alice, users.client() as encoder:
        link = alice.post("/api/links", json={"kind": "publish", "name": "linked"}).json()
        location = encoder.post(link["url"], content=camera_offer, headers=SDP).headers["location"]
        problem(encoder.delete(location.partition("?")[0]), 401, "sign_in")
        assert encoder.delete(location).status_code == 200
        as_bearer = SDP | {"Authorization": f"Bearer {link['token']}"}
        assert "?" not in encoder.post("/whip/linked", content=camera_offer, headers=as_bearer).headers["location"]


def test_methods_and_types(http: httpx.Client, camera_offer: str) -> None:
    for endpoint in ("whip", "whep"):
        for method in ("GET", "PUT", "DELETE", "PATCH"):
            problem(http.request(method, f"/{endpoint}/nine"), 405, "method_not_allowed")
        options = http.options(f"/{endpoint}/nine")
        assert (options.status_code, options.headers["accept-post"]) == (200, "application/sdp")
        assert http.options(f"/{endpoint}/nine/x").headers["accept-patch"] == FRAGMENT
        problem(http.get(f"/{endpoint}/nine/x"), 405, "method_not_allowed")
        wrong = http.post(f"/{endpoint}/nine", content=camera_offer, headers={"Content-Type": "text/plain"})
        problem(wrong, 415, "content_type")
        problem(http.post(f"/{endpoint}/nine", json={}), 415, "content_type")
        problem(
            http.post(f"/{endpoint}/nine", content=camera_offer, headers=SDP | {"Accept": "text/html"}), 406, "accept"
        )
        problem(http.post(f"/{endpoint}/nine", content=b"", headers=SDP), 400, "bad_sdp")
        problem(http.post(f"/{endpoint}/nine", content=b"\xff", headers=SDP), 400, "bad_sdp")
        problem(http.post(f"/{endpoint}/nine", content="{}", headers=SDP), 422, "bad_sdp", "sdp")
        problem(http.post(f"/{endpoint}/nine", content=b"x" * 131_073, headers=SDP), 413, "too_large")
        problem(http.post(f"/{endpoint}/.hidden", content=camera_offer, headers=SDP), 422, "invalid", "name")
        problem(http.post(f"/{endpoint}/{'x' * 65}", content=camera_offer, headers=SDP), 422, "invalid", "name")


def test_a_session_is_found_only_at_its_own_path(http: httpx.Client, camera_offer: str) -> None:
    name = publish(http, camera_offer, "ten").headers["location"].rpartition("/")[2]
    problem(http.delete(f"/whip/other/{name}"), 404, "not_found")
    problem(http.delete(f"/whep/ten/{name}"), 404, "not_found")
    problem(http.delete("/whip/ten/nonsense"), 404, "not_found")
    camera = begin(http, camera_offer).json()["id"]
    problem(http.delete(f"/whip/ten/{camera}"), 404, "not_found")


def test_ice_servers_come_as_links(settings: Settings, redis_url: str, camera_offer: str) -> None:
    ice = {"ice_servers": "stun:stun.example:3478,turn:turn.example:3478", "turn_secret": "s"}
    with running(settings.model_copy(update=ice), redis_url) as site, site.client() as http:
        links = publish(http, camera_offer).headers.get_list("link")
        assert links[0] == '<stun:stun.example:3478>; rel="ice-server"'
        assert links[1].startswith('<turn:turn.example:3478>; rel="ice-server"; username="')
        assert links[1].endswith('; credential-type="password"')
        servers = http.get("/api/ice-servers").json()["iceServers"]
        assert [server["urls"] for server in servers] == [["stun:stun.example:3478"], ["turn:turn.example:3478"]]
