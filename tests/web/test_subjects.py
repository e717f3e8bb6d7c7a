"""Subjects and choosers through the API: sessions, jobs, feeds, WHIP; masks; what is refused, and how."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from stream.storage.local_copies import SCHEME, local_path
from tests.chooser_records import registered
from tests.media import TALK
from tests.stream.records.test_subjects import SPECS
from tests.web.http_checks import SDP, begin, problem, until
from tests.web.live_worker_double import Double
from tests.web.running_site import Site
from tests.web.test_backgrounds import picture, settings_of
from tests.web.videos.file_worker import FileWorkerDouble
from tests.web.videos.tus import uploaded

TEXTS = ["ann=point:0.5,0.25", "ann=point:-0.1,0.1@2", "not:box:1,2,30,40"]
OBJECTS = [
    {"name": "ann", "keep": True, "prompts": ["point:0.5,0.25", "point:-0.1,0.1@2"]},
    {"name": "removed", "keep": False, "prompts": ["box:1,2,30,40"]},
]


@pytest.fixture(autouse=True)
def choosers() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture
def files(site: Site) -> Iterator[FileWorkerDouble]:
    files = FileWorkerDouble(site)
    yield files
    files.clear()


@pytest.fixture
def mask(http: httpx.Client) -> Iterator[str]:
    """The id of an uploaded picture."""
    id = http.post("/api/backgrounds", content=picture()).json()["id"]
    yield id
    http.delete(f"/api/backgrounds/{id}")


@pytest.fixture(scope="module")
def video(http: httpx.Client) -> str:
    """The id of an uploaded video."""
    return uploaded(http, TALK.read_bytes())


def feed(http: httpx.Client, **options: object) -> httpx.Response:
    """A feed of a stream on this server, which does not run."""
    return http.post("/api/feeds", json={"name": "a", "source": "live:cam", "running": False, "options": options})


def job(http: httpx.Client, video: str, **options: object) -> httpx.Response:
    return http.post("/api/jobs", json={"upload": video, "options": options})


@pytest.mark.parametrize("subjects", [TEXTS, OBJECTS])
def test_a_session_takes_texts_and_objects(
    http: httpx.Client, worker: Double, camera_offer: str, subjects: list[Any]
) -> None:
    path = begin(http, camera_offer, options={"subjects": subjects, "chooser": "quick"}).headers["location"]
    record = until(http, path, state="live")
    assert (record["options"]["subjects"], record["options"]["chooser"]) == (OBJECTS, "quick")
    assert worker.sessions[record["id"]].options.subjects[1].prompts[0].place == (1, 2, 30, 40)


def test_subjects_are_changed_and_withdrawn_while_live(http: httpx.Client, worker: Double, camera_offer: str) -> None:
    path = begin(http, camera_offer).headers["location"]
    until(http, path, state="live")
    changed = http.patch(path, json={"options": {"subjects": TEXTS}}).json()["options"]
    assert changed["subjects"] == OBJECTS
    assert http.patch(path, json={"options": {"view": "matte"}}).json()["options"]["subjects"] == OBJECTS
    assert http.patch(path, json={"options": {"subjects": []}}).json()["options"]["subjects"] == []
    http.patch(path, json={"options": {"subjects": TEXTS}})
    assert http.patch(path, json={"options": {"subjects": None}}).json()["options"]["subjects"] == []


@pytest.mark.parametrize("names", [["ann", "bob"], "ann+bob"])
def test_an_output_of_a_job_may_show_some_subjects(
    http: httpx.Client, files: FileWorkerDouble, video: str, names: object
) -> None:
    outputs = [{"name": "one", "subject": "ann"}, {"name": "two", "subject": names}, {"name": "all"}]
    subjects = ["ann=point:0.3,0.5", "bob=point:0.7,0.5", "eve=point:0.5,0.5"]
    made = http.post("/api/jobs", json={"upload": video, "options": {"subjects": subjects}, "outputs": outputs}).json()
    shown = [output["subject"] for output in made["outputs"]]
    assert shown == [["ann"], ["ann", "bob"], []]
    assert [o["subject"] for o in http.get(f"/api/jobs/{made['id']}").json()["outputs"]] == shown


@pytest.mark.parametrize(
    ("output", "detail"),
    [
        ({"subject": "anne"}, "there is no subject 'anne'; use one of: ann; did you mean ann?"),
        ({"subject": ["ann", "zoe"]}, "there is no subject 'zoe'; use one of: ann"),
        ({"subject": "removed"}, "the subject 'removed' is removed (not:), so it has no matte of its own"),
        ({"subject": "ann", "background": "none"}, "the background none shows everything, not only ann"),
        ({"subject": "an n"}, ""),
        ({"subject": 7}, ""),
        ({"subject": [f"s{n}" for n in range(9)]}, ""),
    ],
    ids=str,
)
def test_an_output_of_subjects_that_a_job_does_not_have_is_refused(
    http: httpx.Client, video: str, output: dict[str, Any], detail: str
) -> None:
    options = {"subjects": ["ann=point:0.3,0.5", "not:box:0,0,0.2,1"]}
    answer = http.post("/api/jobs", json={"upload": video, "options": options, "outputs": [{"name": "a"}, output]})
    found = problem(answer, 422, "invalid")
    (error,) = found["errors"]
    assert error["field"].startswith("outputs.1.subject")
    assert detail in found["detail"]


def test_live_video_has_no_outputs_of_single_subjects(http: httpx.Client) -> None:
    outputs = [{"address": "rtmp://live.example/app/key", "subject": "ann"}]
    answer = http.post("/api/feeds", json={"name": "a", "source": "live:cam", "running": False, "outputs": outputs})
    assert problem(answer, 422, "invalid")["errors"][0]["field"] == "outputs.0.subject"


def test_the_menu_has_the_choosers(http: httpx.Client) -> None:
    menu = http.get("/api/options").json()
    assert menu["options"]["properties"]["chooser"]["enum"] == ["auto", "following", "quick", "naming", "reading"]
    following = menu["choosers"][0]
    assert (following["name"], following["prompts"], following["recurrent"]) == (
        "following", ["point", "box", "mask"], True,
    )  # fmt: skip
    assert following["files"]["order"] == 20
    assert menu["choosers"][3]["files"] is None
    assert menu["options"]["$defs"]["Prompt"]["type"] == "string"


@pytest.mark.parametrize(
    ("options", "field", "detail"),
    [
        ({"subjects": ["point:0.5"]}, "options.subjects", "is not a point; write point:X,Y"),
        ({"subjects": ["pont:1,1"]}, "options.subjects", "did you mean point?"),
        ({"subjects": "not:"}, "options.subjects", "'not:' has no prompt"),
        ({"subjects": 7}, "options.subjects", ""),
        ({"subjects": [{"prompts": ["point:0.5"]}]}, "options.subjects.0.prompts.0", "is not a point"),
        ({"subjects": [{"prompts": ["a hat"], "colour": 1}]}, "options.subjects.0.colour", ""),
        ({"subjects": [{"name": "a"}]}, "options.subjects.0.prompts", ""),
        ({"subjects": [{"prompts": ["mask:x"]}] * 2}, "options.subjects", "two have the name"),
        ({"subjects": ["point:1,1", "class:dog"]}, "options.subjects", "naming understands class"),
        ({"subjects": ["class:dog"], "chooser": "quick"}, "options.subjects", "quick does not understand class"),
        ({"chooser": "best"}, "options.chooser", "must be one of: auto, following"),
        ({"chooser": ["quick"]}, "options.chooser", "must be one of"),
        ({"subjects": ["mask:/etc/passwd"]}, "options.subjects.0", "paths of the server are not allowed"),
        ({"subjects": ["mask:gallery:dusk"]}, "options.subjects.0", "paths of the server are not allowed"),
        ({"subjects": [f"mask:{SCHEME}backgrounds/x/y.image"]}, "options.subjects.0", "paths of the server"),
        ({"subjects": [{"prompts": [{"kind": "mask", "text": "/etc/passwd"}]}]}, "options.subjects.0", "paths of the"),
        ({"subjects": ["mask:upload:../../x"]}, "options.subjects.0", "there is no background with this id"),
        ({"subjects": ["mask:upload:" + "0" * 32]}, "options.subjects.0", "there is no background with this id"),
        ({"key": "greenish"}, "options.key", "is not a colour"),
    ],
)
def test_a_faulty_subject_is_refused_by_its_field(
    http: httpx.Client, camera_offer: str, video: str, options: dict[str, Any], field: str, detail: str
) -> None:
    for response in (
        begin(http, camera_offer, options=options),
        job(http, video, **options),
        feed(http, **options),
    ):
        body = problem(response, 422, response.json()["code"], field)
        assert detail in body["detail"]


def test_jobs_and_feeds_take_subjects(http: httpx.Client, files: FileWorkerDouble, video: str) -> None:
    assert job(http, video, subjects=TEXTS).json()["options"]["subjects"] == OBJECTS
    record = feed(http, subjects=TEXTS).json()
    path = f"/api/feeds/{record['id']}"
    assert record["options"]["subjects"] == OBJECTS
    changed = http.patch(path, json={"options": {"subjects": ["class:dog"]}}).json()["options"]["subjects"]
    assert changed == [{"name": "subject", "keep": True, "prompts": ["class:dog"]}]
    http.delete(path)


def test_a_mask_is_an_uploaded_picture(
    http: httpx.Client, site: Site, worker: Double, camera_offer: str, mask: str
) -> None:
    path = begin(http, camera_offer, options={"subjects": [f"mask:upload:{mask}@1.5"]}).headers["location"]
    record = until(http, path, state="live")
    expected = [{"name": "subject", "keep": True, "prompts": [f"mask:upload:{mask}@1.5"]}]
    assert record["options"]["subjects"] == expected, "no path of the server is shown"
    text = worker.sessions[record["id"]].options.subjects[0].prompts[0].text
    assert local_path(text, settings_of(site)).read_bytes() == picture()
    changed = http.patch(path, json={"options": {"view": "matte"}}).json()["options"]
    assert changed["subjects"] == expected
    assert local_path(worker.sessions[record["id"]].options.subjects[0].prompts[0].text, settings_of(site)).is_file()


def test_a_mask_of_an_unfinished_job_is_not_removed(
    http: httpx.Client, files: FileWorkerDouble, video: str, mask: str
) -> None:
    path = job(http, video, subjects=[f"mask:upload:{mask}"]).headers["location"]
    problem(http.delete(f"/api/backgrounds/{mask}"), 409, "in_use")
    http.delete(path)
    assert http.delete(f"/api/backgrounds/{mask}").status_code == 204


def test_a_mask_of_another_user_does_not_exist(users: Site, camera_offer: str) -> None:
    with users.client("alice-token") as alice, users.client("bob-token") as bob:
        id = alice.post("/api/backgrounds", content=picture()).json()["id"]
        options = {"subjects": [f"mask:upload:{id}"]}
        problem(begin(bob, camera_offer, options=options), 422, "bad_background", "options.subjects.0")
        assert begin(alice, camera_offer, options=options).status_code == 201


def test_a_whip_address_repeats_lists(http: httpx.Client, camera_offer: str) -> None:
    query = urlencode(
        {"subjects": TEXTS, "chooser": "quick", "keep": ["hat", "glasses"], "edges.feather": 2}, doseq=True
    )
    offer = camera_offer.replace("a=sendrecv", "a=sendonly")
    response = http.post(f"/whip/drawn?{query}", content=offer, headers=SDP)
    assert response.status_code == 201, response.text
    (session,) = [each for each in http.get("/api/sessions").json()["sessions"] if each["name"] == "drawn"]
    assert session["options"]["subjects"] == OBJECTS
    assert (session["options"]["keep"], session["options"]["edges"]["feather"]) == (["hat", "glasses"], 2)
    http.delete(response.headers["location"])


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=12) | SPECS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "keep", "prompts", "kind", "text", "place"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@pytest.mark.long
@given(subjects=st.lists(SPECS, max_size=4) | JSON, chooser=st.sampled_from(["auto", "quick"]) | JSON)
@effort(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_subject_causes_a_server_error(
    http: httpx.Client, camera_offer: str, subjects: object, chooser: object
) -> None:
    body = json.dumps({"sdp": camera_offer, "options": {"subjects": subjects, "chooser": chooser}})
    response = http.post("/api/sessions", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code < 500, body
    if response.status_code == 201:
        path = response.headers["location"]
        assert http.get(path).status_code == 200, body
        assert http.patch(path, json={"options": {"view": "matte"}}).status_code in (200, 409), body
        http.delete(path)
