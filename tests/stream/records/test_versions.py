"""Records of other versions: what is left out, what is ignored, what is left alone, what is kept."""

import enum
import inspect
import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict

from stream.records import versions
from stream.records.feeds import Feed, FeedState, OutputSecret
from stream.records.jobs import Job, JobState
from stream.records.live import Answer, Command, Offer, Session, SessionState, Worker
from stream.records.options import Background, Options, View
from stream.records.versions import FORMAT, Since
from tests.servers import KEYS, RedisServer, asynctest
from tests.stream.records import feeds, live
from tests.stream.records.jobs import finished, job_store, new_job, planned, taken

FORMAT_1 = Path(__file__).parents[2] / "data" / "records_of_format_1.txt"
UNKNOWN = {
    "an unknown format": {"format": "99"},
    "a format that is no number": {"format": "2024-spring"},
    "an unknown engine": {"options": json.dumps({"engine": "unheard-of"})},
    "an unknown option": {"options": json.dumps({"hologram": 0.5})},
    "an unknown value of an option": {"options": json.dumps({"view": "hologram"})},
    "an unknown chooser": {"options": json.dumps({"chooser": "unheard-of"})},
    "an unknown kind of prompt": {"options": json.dumps({"subjects": [{"prompts": ["gesture:wave"]}]})},
    "an unknown background": {"options": json.dumps({"background": "depth:3"})},
}


# The rules, on records made here.


class Inner(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Annotated[Literal["plain", "round"], Since(3, ("round",))] = "plain"
    shade: Annotated[int, Since(2)] = 0


class Outer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    inner: Inner = Inner()
    list: tuple[Inner, ...] = ()
    by_name: dict[str, Inner] = {}


@pytest.mark.parametrize(
    ("record", "format"),
    [
        (Outer(name="a"), 1),
        (Outer(name="a", inner=Inner(shade=1)), 2),
        (Outer(name="a", list=(Inner(), Inner(kind="round"))), 3),
        (Outer(name="a", by_name={"b": Inner(shade=7)}), 2),
    ],
)
def test_a_record_has_the_lowest_format_that_fits(record: Outer, format: int) -> None:
    assert versions.format_of(record) == format


def test_a_new_field_with_its_default_is_not_written() -> None:
    record = Outer(name="a", list=(Inner(), Inner(shade=1)), by_name={"b": Inner()})
    plain = {"kind": "plain"}
    expected = {"name": "a", "inner": plain, "list": [plain, {"kind": "plain", "shade": 1}], "by_name": {"b": plain}}
    assert versions.dump(record) == expected
    assert versions.read(Outer, expected) == (record, True)


def test_unknown_fields_and_values_are_ignored() -> None:
    inner = {"kind": "cubic", "shade": 4, "smell": 1}
    values = {"name": "a", "colour": 1, "inner": inner, "list": [inner, {}], "by_name": {"b": inner, "c": 5}}
    record, is_complete = versions.read(Outer, values)
    assert not is_complete
    assert record == Outer(
        name="a", inner=Inner(shade=4), list=(Inner(shade=4), Inner()), by_name={"b": Inner(shade=4)}
    )
    assert values["inner"] == {"kind": "cubic", "shade": 4, "smell": 1}, "what was passed is not changed"


def test_a_record_without_a_necessary_field_is_left_out() -> None:
    assert versions.readable(Outer.model_validate, [{"name": "a"}, {}, {"name": "b"}]) == [
        Outer(name="a"),
        Outer(name="b"),
    ]


# All shared records: who adds to them must say since when.


def nested(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in typing.get_args(annotation):
        yield from nested(part)


def entries(model: type[BaseModel], within: bool = False) -> Iterator[tuple[str, bool]]:
    """Each field and each of its values as text, and whether it is marked as one of a later format. within: this is the
    type of a field that is marked."""
    for name, field in model.model_fields.items():
        marks = [mark for mark in field.metadata if isinstance(mark, Since)]
        owner = next(base.__name__ for base in reversed(model.__mro__) if name in inspect.get_annotations(base))
        is_marked = within or any(not mark.values for mark in marks)
        yield f"{owner}.{name}", is_marked
        for part in nested(field.annotation):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from entries(part, is_marked)
            values: list[Any] = [*part.__members__.values()] if isinstance(part, enum.EnumType) else []
            values = list(typing.get_args(part)) if typing.get_origin(part) is Literal else values
            for value in values:
                yield f"{owner}.{name}={value}", is_marked or any(value in mark.values for mark in marks)


def test_additions_are_marked() -> None:
    """Without the mark, an older worker would take a record that it cannot process. `Since` is in
    stream/records/versions.py: mark the field or the value with the next format, and raise FORMAT."""
    shared = (Job, Session, Offer, Answer, Command, Worker, Feed, OutputSecret)
    found: dict[str, bool] = {}
    for entry, marked in (pair for model in shared for pair in entries(model)):
        found[entry] = marked and found.get(entry, True)
    first = set(FORMAT_1.read_text().split())
    assert {entry for entry, marked in found.items() if entry not in first and not marked} == set()
    assert first - found.keys() == set(), "older workers still write these"
    assert {entry for entry in first if found[entry]} == set(), "these are as old as format 1"


# The stores: records of the future.


def alter(server: RedisServer, key: str, fields: dict[str, str]) -> None:
    """As a newer version would have stored it: with these fields, nested ones merged."""
    with server.client() as client:
        for name, text in fields.items():
            old = json.loads(client.hget(key, name) or "{}") if name == "options" else {}
            client.hset(key, name, json.dumps(old | json.loads(text)) if name == "options" else text)


@pytest.mark.parametrize("unknown", UNKNOWN.values(), ids=UNKNOWN)
@asynctest
async def test_a_job_of_the_future_is_left_alone_and_shown(server: RedisServer, unknown: dict[str, str]) -> None:
    async with job_store(server) as store:
        future = await store.submit(new_job(priority=9))
        alter(server, KEYS.job(future.id), unknown)
        present = await store.submit(new_job())
        task = await taken(store)
        assert task.job.id == present.id, "the other one is first, but left to others"
        assert await store.take_task("w2", 0.1) is None
        assert await store.take_task("w3", 0.1) is None
        shown = await store.job(future.id)
        assert shown is not None
        assert shown.state is JobState.QUEUED
        assert shown.options.view is View.COMPOSITE
        with server.client() as client:
            todo = json.loads(client.hget(f"mattebox:tasks:{future.id}", "plan"))
            assert (todo["state"], todo["tries"], todo["kills"], todo.get("lost", 0)) == ("todo", 0, 0, 0)
            kept = client.hgetall(KEYS.job(future.id))
        assert (
            unknown.items() <= kept.items()
            or json.loads(unknown["options"]).items() <= json.loads(kept["options"]).items()
        )
        assert (await store.cancel(future.id)).state is JobState.CANCELLED
        await store.forecast()
        assert len(await store.summaries()) == 2


@asynctest
async def test_a_worker_that_knows_the_format_takes_it(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with job_store(server) as store:
        job = await store.submit(new_job())
        alter(server, KEYS.job(job.id), {"format": str(FORMAT + 1)})
        assert await store.take_task("old", 0) is None
        monkeypatch.setattr(versions, "FORMAT", FORMAT + 1)
        assert (await taken(store)).job.id == job.id


@asynctest
async def test_a_plan_of_the_future_is_left_to_others(server: RedisServer) -> None:
    async with job_store(server) as store:
        job = await planned(store, 1)
        await store.leave(await taken(store))
        assert await store.take_task("w1", 0) is None
        async with job_store(server) as other:
            assert (await taken(other, "w2")).job.id == job.id


@asynctest
async def test_unknown_states_and_results_can_be_read(server: RedisServer) -> None:
    async with job_store(server) as store:
        done = await finished(store)
        results = json.dumps({"result": {"key": "k", "bytes": 1, "mime": "m", "digest": "d"}})
        alter(server, KEYS.job(done.id), {"state": "archived", "results": results})
        job = await store.job(done.id)
        assert job is not None
        assert job.newer
        assert job.results["result"].bytes == 1
        assert [found.id for found in (await store.page("", 10)).jobs] == [done.id]
        assert (await store.summaries())[0].state is JobState.QUEUED, "nothing is removed that may be in use"
        await store.submit(new_job())
        with server.client() as client:
            client.hset("mattebox:states", mapping={"archived": 2, "queued": 1})
        assert (await store.totals()).states[JobState.QUEUED] == 3


@pytest.mark.parametrize("unknown", UNKNOWN.values(), ids=UNKNOWN)
@asynctest
async def test_a_feed_of_the_future_is_left_alone_and_shown(server: RedisServer, unknown: dict[str, str]) -> None:
    async with feeds.stores(server) as (store,):
        future, present = await feeds.created(store, "future"), await feeds.created(store, "present")
        alter(server, KEYS.feed(future.id), unknown)
        for _ in range(2):
            claimed = await store.claim("w1")
            if claimed is not None:
                assert claimed.feed.id == present.id
        assert await store.claim("w1") is None
        shown = await store.feed(future.id)
        assert shown is not None
        assert (shown.state, shown.reason) == (FeedState.WAITING, "")
        assert {feed.id for feed in (await store.page("ann", 10)).feeds} == {future.id, present.id}
        with server.client() as client:
            assert (client.hget(KEYS.feed(future.id), "losses") or "0") == "0"


@pytest.mark.parametrize("unknown", [*UNKNOWN.values(), {"kind": "hologram"}], ids=[*UNKNOWN, "an unknown kind"])
@asynctest
async def test_an_offer_of_the_future_is_left_to_others(
    server: RedisServer, unknown: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live.stores(server) as (store,):
        fields = live.new().to_fields()
        session = Session.from_fields(fields)
        command = "{}"
        latest_s = await store.link.now_s() + 60
        await store.link.run("live/offer", latest_s, 60, "v=0", command, "", *fields)
        alter(server, KEYS.session(session.id), unknown)
        assert await store.take("old", 0.3) is None
        with server.client() as client:
            assert client.hget(KEYS.session(session.id), "state") == SessionState.OFFERED
            assert client.xlen(KEYS.offers) == 1
        await store.sessions()
        assert await store.reap() == []
        client_fields = {"format": "1", "options": "{}", "kind": "camera"}
        alter(
            server,
            KEYS.session(session.id),
            client_fields | {"options": '{"view": "matte", "background": "none"}'},
        )
        with server.client() as client:
            client.hset(KEYS.session(session.id), "options", "{}")
        got = await store.take("new", 1)
        assert got is not None
        assert (got[0].id, got[1].sdp) == (session.id, "v=0")


@asynctest
async def test_a_worker_of_the_future_is_counted_only_if_its_kind_is_known(server: RedisServer) -> None:
    async with live.stores(server) as (store,):
        for id, more in (
            ("a", {"colour": 1}),
            ("b", {"kind": "hologram"}),
            ("c", {"feeds": {"frames_in": 3, "colour": 1}}),
        ):
            text = json.dumps({"id": id, "kind": "live", "state": "ready"} | more)
            await store.link.run("live/beat", id, text, "")
        assert {worker.id for worker in await store.workers()} == {"a", "c"}


# What a newer version added is kept where the older one restores a record that Redis has lost.


@asynctest
async def test_added_fields_are_restored(server: RedisServer) -> None:
    async with job_store(server) as jobs, feeds.stores(server) as (feed_store,), live.stores(server) as (sessions,):
        job = await jobs.submit(new_job())
        feed = await feeds.created(feed_store)
        session = await live.connecting(sessions, sessions, live.new())
        records = [KEYS.job(job.id), KEYS.feed(feed.id), KEYS.session(session.id)]
        for key in records:
            alter(server, key, {"added": "by a newer version"})
        task = await taken(jobs)
        claimed = await feeds.claimed(feed_store)
        session = (await sessions.session(session.id)) or session
        with server.client() as client:
            client.flushall()
        await jobs.restore(task, [], [])
        await feed_store.renew([claimed])
        assert await sessions.renew([session, session.model_copy(update={"id": "other", "meters": None})]) == set()
        with server.client() as client:
            assert [client.hget(key, "added") for key in records] == ["by a newer version"] * 3
            assert [client.hget(key, "format") for key in records] == ["1"] * 3, "nothing else was added"


def test_a_session_with_other_fields_is_renewed_with_those_of_another_length() -> None:
    fields = live.new().to_fields()
    longer = Session.from_fields([*fields, "added", "x"])
    assert len(longer.to_fields()) == len(fields) + 2
    assert longer.model_copy(update={"name": "n"}).to_fields()[-2:] == ["added", "x"]


def test_what_was_not_known_is_not_hidden() -> None:
    fields = dict(zip(*[iter(live.new().to_fields())] * 2, strict=True))
    assert not Session.from_fields(fields).newer
    unknown = Session.from_fields(fields | {"options": '{"view": "hologram", "background": "depth:3", "roi": true}'})
    assert unknown.newer
    assert unknown.options == Options(roi=True)
    assert unknown.options.background == Background(kind="color")
