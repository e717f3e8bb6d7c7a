"""The records of live video in Redis, shared by web and workers. `stream/records/job_store.py` has those of file jobs.

Every state transition is one atomic script (`stream/records/lua`); `redis_keys.py` and `lifetimes.py` have the keys and
their lifetimes. Needs Redis 7 or Valkey 8, or newer. A call takes at most its own timeout plus a second: when Redis is
unreachable it raises StoreDown, and the next call tries again. Knows nothing about media or HTTP.

A worker owns a session while the `worker` and `fence` of its copy match the record. `take` sets both. Any other
process that ends a session increments the fence; from then on calls of the old owner raise Fenced. When Redis has lost
its data, `renew` restores a worker's sessions from the worker's copies.
"""

import asyncio
import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from stream.errors import BadMove, Fenced, NameTaken, NoSession, StoreDown
from stream.records import lifetimes, live, redis_keys, versions
from stream.records.live import (
    MOVES,
    PROBLEMS,
    Answer,
    Command,
    Meters,
    Offer,
    Session,
    SessionKind,
    SessionState,
    Worker,
)
from stream.records.options import Options
from stream.records.redis_link import REPLY_TIMEOUT_S, SLICE_S, RedisLink, ResponseError

_log = logging.getLogger(__name__)
_REQUEUED_S = 0.1  # during which another worker can get an offer that this one cannot process
_TOGETHER = 200  # records in one call, so that long ones do not hold up others
_LEFT = "left"
T = TypeVar("T")


class LiveStore:
    """Store of the live records. One object per process, for its event loop. Every method may raise StoreDown."""

    def __init__(self, redis: str | RedisLink) -> None:
        """redis: the URL of a server (see `RedisLink`), or a shared link. Raises UsageError."""
        self._link = RedisLink(redis) if isinstance(redis, str) else redis
        self._keys = self._link.keys
        self._read: dict[str, list[str]] = {}
        self._untaken: dict[str, tuple[str, str, str]] = {}  # by worker: the offer that it was taking in an outage
        self._unawaited: dict[str, float] = {}  # sessions offered in an outage → when their offers expire

    @property
    def link(self) -> RedisLink:
        """The connection, to share it with another store of this process."""
        return self._link

    async def ping(self) -> bool:
        """Whether Redis answers and accepts writes. The only method that does not raise StoreDown."""
        return await self._link.ping()

    async def close(self) -> None:
        await self._link.close()

    # Offers: from a client through web to a worker with free capacity. Answers: the way back.

    async def offer(self, session: Session, sdp: str, wait_s: float) -> Answer | None:
        """Create a session in state OFFERED and wait for a worker's answer.

        CAMERA and PUBLISH go to the first worker that takes them, VIEW to the worker of the session `of`. Returns None
        if no worker took the offer within `wait_s` seconds, or the worker did not answer in that time; the session is
        then FAILED, with the reason "no_worker" or "no_answer". If the offer cannot be placed, returns an answer with
        one of `PROBLEMS` and creates no session. An offer that ends with StoreDown is withdrawn by the next `reap`.
        """
        until_s = time.monotonic() + wait_s
        try:
            return await self._offer(session, sdp, wait_s, until_s)
        except StoreDown:
            self._unawaited[session.id] = until_s
            raise

    async def _offer(self, session: Session, sdp: str, wait_s: float, until_s: float) -> Answer | None:
        command = versions.dump_json(Command(kind="view", session=session.id, text=sdp))
        latest_s = await self._link.now_s() + 2 * REPLY_TIMEOUT_S
        reply = await self._link.run("live/offer", latest_s, wait_s, sdp, command, session.of, *session.to_fields())
        if reply[0] == "late":
            raise StoreDown(f"Redis at {self._link.address} did not respond in time")
        if reply[0] != "ok":
            return Answer(problem=reply[0], detail=PROBLEMS[reply[0]])
        text = await self._answer(session.id, until_s) or await self._link.run("live/abandon", session.id)
        return None if text is None else versions.read_json(Answer, text)

    async def _answer(self, id: str, until_s: float) -> str | None:
        while (wait_s := min(until_s - time.monotonic(), SLICE_S)) > 0:
            got = await self._link.ask("BLPOP", self._keys.answer(id), wait_s, wait_s=wait_s)
            if got:
                return str(got[1])
        return None

    async def take(self, worker: str, block_s: float) -> tuple[Session, Offer] | None:
        """Wait up to `block_s` seconds for an offer and take it: its session becomes CONNECTING, with a new fence and a
        lease of 4 s.

        Call it only with free capacity. Also takes offers that were delivered to another worker that then died. After
        StoreDown, the next call for the worker first tries again to take the same offer.
        """
        until_s = time.monotonic() + block_s
        while True:
            left_s = max(0.0, min(until_s - time.monotonic(), SLICE_S))
            offered = self._untaken.pop(worker, None) or await self._link.run("live/claim", worker)
            if offered := offered or await self._next_offer(worker, left_s):
                if taken := await self._take(worker, *offered):
                    return taken
                if taken is None:  # too late; there may be another one
                    continue
                await asyncio.sleep(_REQUEUED_S)
            if time.monotonic() >= until_s:
                return None

    async def _take(self, worker: str, entry: str, id: str, sdp: str) -> tuple[Session, Offer] | Literal[False] | None:
        """None: too late. False: left to workers of other versions."""
        try:
            got = await self._link.run("live/take", id, worker, entry, versions.understood())
            if not got:
                return None
            if got == [_LEFT]:
                return False
            fields = dict(zip(got[1][::2], got[1][1::2], strict=True))
            session = _processable(fields)
            if session is None:
                await self._link.run("live/hand_back", id, worker, fields["fence"], sdp, got[0])
                return False
        except StoreDown:
            self._untaken[worker] = entry, id, sdp
            raise
        return session, Offer(session=id, sdp=sdp, deadline_s=float(got[0]))

    async def hand_back(self, session: Session, offer: Offer) -> None:
        """Let other workers take an offer that `take` returned and that was not answered. Raises NoSession, Fenced,
        BadMove."""
        _check(await self._run_restored("live/hand_back", session, offer.sdp, offer.deadline_s), session.id)

    async def _next_offer(self, worker: str, wait_s: float) -> tuple[str, str, str] | None:
        block = ("BLOCK", max(1, int(wait_s * 1000)))  # 0 would block indefinitely
        query = ("XREADGROUP", "GROUP", redis_keys.GROUP, worker, "COUNT", 1, *block, "STREAMS", self._keys.offers, ">")
        try:
            got = await self._link.ask(*query, wait_s=wait_s)
        except ResponseError as exc:
            if str(exc).startswith(("NOGROUP", "UNBLOCKED")):  # flushed meanwhile; `claim` creates it again
                return None
            raise
        if not got:
            return None
        entry, fields = got[0][1][0]
        return entry, fields["session"], fields["sdp"]

    async def accept(self, worker: str, id: str) -> Session | None:
        """As `take`, for the session of a viewer that a "view" command announced. None: too late, or of a newer
        version."""
        taken = await self._link.run("live/take", id, worker, "", versions.understood())
        return _processable(taken[1]) if taken and taken != [_LEFT] else None

    async def reply(self, session: Session, answer: Answer) -> None:
        """Answer the client that is waiting in `offer`. Raises Fenced if it is no longer waiting, NoSession."""
        _check(await self._run_restored("live/reply", session, versions.dump_json(answer)), session.id)

    # Sessions: any process reads them; their worker changes their state.

    async def session(self, id: str) -> Session | None:
        found = await self._link.ask("HGETALL", self._keys.session(id))
        return versions.attempted(Session.from_fields, found) if found else None

    async def sessions(self, owner: str | None = None) -> list[Session]:
        """All sessions, also those ended in the last ten minutes, newest first; only those of `owner` if given."""
        found: list[Session] = []
        for part in _parts(await self._link.ask("ZRANGE", self._keys.sessions, 0, -1), _TOGETHER):
            pipe = self._link.pipeline(transaction=False)
            for id in part:
                pipe.execute_command("HGETALL", self._keys.session(id))
            records = await self._link.call(pipe.execute())
            selected = (f for f in records if f and owner in (None, f["owner"]))
            found += versions.readable(Session.from_fields, selected)
        return sorted(found, key=lambda s: s.created_s, reverse=True)

    async def stream(self, name: str) -> Session | None:
        """The live session that publishes under that name, if any."""
        id = await self._link.ask("GET", self._keys.name(name))
        found = await self.session(id) if id else None
        return found if found and found.state is SessionState.LIVE else None

    async def move(self, session: Session, to: SessionState, reason: str = "") -> Session:
        """Set the state of a session, by its worker; repeating the last call changes nothing.

        A PUBLISH session that becomes LIVE takes over its name from another session of the same owner, which is
        ended ("replaced"). Raises BadMove; NameTaken when another owner has the name; Fenced; StoreDown.
        """
        before = "".join(f",{state}" for state in SessionState if to in MOVES[state]) + ","
        reply = await self._run_restored("live/move", session, to, reason, before)
        _check(reply, session.id)
        return Session.from_fields(reply[1])

    async def _run_restored(self, name: str, session: Session, *values: str | float) -> Any:
        """Run a script for the session's worker. A record that Redis has lost is restored first, from this copy."""
        reply = await self._link.run(name, *session.ownership(), *values)
        if reply[0] == "gone":
            await self.renew([session])
            reply = await self._link.run(name, *session.ownership(), *values)
        return reply

    async def report(self, session: Session, meters: Meters) -> None:
        """Record the session's measurements. Raises Fenced or BadMove when it has ended."""
        ((session, reply),) = await self._reported([(session, meters)])
        if reply[0] != "gone":
            _check(reply, session.id)

    async def report_all(self, measured: Iterable[tuple[Session, Meters]]) -> None:
        """As `report`, for all sessions of a worker. Those that have ended are left out."""
        await self._reported(measured)

    async def _reported(self, measured: Iterable[tuple[Session, Meters]]) -> list[tuple[Session, list[str]]]:
        """The sessions with the replies of the script."""
        replies: list[tuple[Session, list[str]]] = []
        for part in _parts(list(measured), _TOGETHER):
            values = [value for s, meters in part for value in (*s.ownership(), versions.dump_json(meters))]
            found = await self._link.run("live/report", *values)
            replies += zip((session for session, _ in part), found, strict=True)
        return replies

    async def renew(self, sessions: Iterable[Session]) -> set[str]:
        """Renew the leases of a worker's sessions, every second. sessions: as `take` and `move` last returned them.

        Returns the ids of sessions that the worker no longer owns and must stop. Leases that expired while Redis was
        unreachable are renewed. Records that Redis has lost are restored, with their fences.
        """
        lost = set()
        for part in _parts(list(sessions), _TOGETHER):
            values = [
                value for s in part for value in (*s.ownership(), s.name if s.kind is SessionKind.PUBLISH else "")
            ]
            for session, reply in zip(part, await self._link.run("live/renew", *values), strict=True):
                if reply == "lost" or (reply == "gone" and not await self._restored(session)):
                    lost.add(session.id)
        return lost

    async def _restored(self, session: Session) -> bool:
        """Restore a record that Redis has lost from its worker's copy. False: the worker does not own it."""
        return bool(await self._link.run("live/restore", *session.to_fields()) == "ok")

    async def change(self, id: str, options: Options) -> Session:
        """Set a session's options, and send them to its worker. Raises NoSession, BadMove if the session has ended."""
        command = versions.dump_json(Command(kind="options", session=id, options=options))
        changed = versions.dump_json(options), command, versions.format_of(options)
        reply = await self._link.run("live/change", id, *changed)
        _check(reply, id)
        return Session.from_fields(reply[1])

    async def end(self, id: str, reason: str) -> None:
        """End a session: at once if no worker has it, else by a command to its worker. No effect on a session that has
        ended. Raises NoSession."""
        command = Command(kind="end", session=id, reason=reason)
        _check(await self._link.run("live/end", id, reason, versions.dump_json(command)), id)

    async def reap(self) -> list[Session]:
        """End sessions whose offer expired (FAILED) or whose worker is gone (LOST); returns them.

        Called by all processes, about once a second. The first call after a lease expired only marks the session; a
        call 3 s later ends it. A worker that could not reach Redis can renew the lease in between.
        """
        await self._withdraw()
        return versions.readable(Session.from_fields, await self._link.run("live/reap"))

    async def _withdraw(self) -> None:
        """End the offers whose clients got StoreDown; otherwise a worker would wait for a client that is gone."""
        for id, until_s in list(self._unawaited.items()):
            if until_s > time.monotonic():
                await self._link.run("live/abandon", id)
            self._unawaited.pop(id, None)

    # Workers: their commands and heartbeats.

    async def send(self, worker: str, command: Command) -> None:
        await self._link.run("live/send", worker, versions.dump_json(command))

    async def commands(self, worker: str, block_s: float) -> list[Command]:
        """New commands for this worker since the last call, in order; waits up to `block_s` seconds for the first."""
        key, until_s = self._keys.commands(worker), time.monotonic() + block_s
        if read := self._read.get(worker):  # deleted only now, because the caller has received them
            await self._link.ask("XDEL", key, *read)
            self._read[worker] = []
        while True:
            wait_s = max(0.0, min(until_s - time.monotonic(), SLICE_S))
            query = ("XREAD", "COUNT", 100, "BLOCK", max(1, int(wait_s * 1000)), "STREAMS", key, "0")
            got = await self._link.ask(*query, wait_s=wait_s)
            if got:
                self._read[worker] = [entry for entry, _ in got[0][1]]
                return [command for _, fields in got[0][1] if (command := _command(fields["command"]))]
            if time.monotonic() >= until_s:
                return []

    async def beat(self, worker: Worker) -> float:
        """Heartbeat, every second; a worker without one for 4 s is no longer listed. Returns the store's time: a
        worker's own clock may be wrong."""
        return float(await self._link.run("live/beat", worker.id, *versions.report_texts(worker)))

    async def workers(self, kind: str = "") -> list[Worker]:
        """Workers with a heartbeat in the last 4 s; only of one kind, "live" or "files", if given."""
        listed: Any = await self._link.ask("ZRANGE", self._keys.workers, 0, -1, "WITHSCORES")
        ids, gone_s = listed[::2], [float(score) for score in listed[1::2]]
        keys = [key(id) for key in (self._keys.worker, self._keys.whole_worker) for id in ids]
        texts: Any = await self._link.ask("MGET", *keys) if ids else []
        found = zip(texts[: len(ids)], texts[len(ids) :], gone_s, strict=True)
        beats = ((whole or text, at_s) for text, whole, at_s in found if text)
        return [worker for worker in versions.readable(_worker, beats) if kind in ("", worker.kind)]

    async def leave(self, worker: str) -> None:
        """Unregister a worker, whose sessions must have ended. Offers that it did not take go to other workers."""
        await self._link.run("live/leave", worker)

    # Rate limits that all processes share.

    async def spend(self, key: str, limit: int, window_s: int) -> float:
        """Count one use of `key`, limited to `limit` per `window_s`. Returns 0.0 if granted, else seconds to wait."""
        name, pipe = self._keys.spent(key), self._link.pipeline()
        pipe.set(name, 0, ex=window_s, nx=True)
        pipe.incr(name)
        pipe.pttl(name)
        _, count, left_ms = await self._link.call(pipe.execute())
        return 0.0 if count <= limit else max(left_ms, 1) / 1000

    async def share_secret(self, fingerprint: str) -> str:
        """Store the fingerprint of a web process's secret for a minute, unless another is stored. Returns that which is
        stored then."""
        await self._link.ask("SET", self._keys.web_secret, fingerprint, "NX", "EX", lifetimes.SECRET_S)
        found = str(await self._link.ask("GET", self._keys.web_secret) or fingerprint)
        if found == fingerprint:
            await self._link.ask("EXPIRE", self._keys.web_secret, lifetimes.SECRET_S)
        return found


def _check(reply: list[str], id: str) -> None:
    match reply:
        case ["gone"]:
            raise NoSession(f"no session {id}")
        case ["fenced"]:
            raise Fenced(f"session {id} is no longer owned by this worker")
        case ["bad", state]:
            raise BadMove(f"session {id} is {state}")
        case [live.NAME_TAKEN]:
            raise NameTaken(f"session {id}: {PROBLEMS[live.NAME_TAKEN]}")


def _processable(fields: Mapping[str, str] | Sequence[str]) -> Session | None:
    """The session in a record, or None if this version cannot run it."""
    session = versions.attempted(Session.from_fields, fields)
    return session if session is not None and versions.can_process(session, session.options.engine) else None


def _worker(beat: tuple[str, float]) -> Worker:
    """From the text of a heartbeat, and when it expires. Raises ValidationError if its kind or its state is unknown: it
    must not count as one of those that are known."""
    text, gone_s = beat
    values = json.loads(text)
    Worker.model_validate({name: values[name] for name in ("id", "kind", "state") if name in values})
    return versions.read(Worker, values | {"seen_s": gone_s - lifetimes.BEAT_S})[0]


def _parts(values: Sequence[T], count: int) -> Iterator[Sequence[T]]:
    """The values, `count` at a time."""
    return (values[start : start + count] for start in range(0, len(values), count))


def _command(text: str) -> Command | None:
    try:
        return Command.model_validate_json(text)
    except ValidationError:  # from a newer version of web, for example; it must not block the other commands
        _log.warning("ignored a command that this version does not know")
        return None
