"""Where web and workers meet: the records of live video in Redis. Those of file jobs are in
`stream/records/job_store.py`.

Every change of a session's state is one script that Redis runs as a whole (`stream/records/lua`); keys and their
lifetimes are in `stream/records/keys.py`. Needs Redis 7 or Valkey 8, or newer. No call waits longer than asked for and
a second more: when Redis is away it raises StoreDown, and the next call tries anew. Knows nothing about media or HTTP.

A session is somebody's as long as its `worker` and `fence` are those in the record: `take` gives them, and whoever
ends the session over the worker's head raises the fence. From then on the old owner's calls raise Fenced.
When Redis lost its data (flushed, or a disk gone) `renew` writes the owner's sessions again as the owner knows them.
"""

import logging
import time
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from stream.errors import BadMove, Fenced, NoSession, StoreDown
from stream.records import keys
from stream.records.link import PATIENCE_S, SLICE_S, RedisLink, ResponseError
from stream.records.live import MOVES, PROBLEMS, Answer, Command, Meters, Offer, Session, SessionState, Worker
from stream.records.options import Options

_log = logging.getLogger(__name__)


class LiveStore:
    """The shared records. One object a process, for its event loop. Every method may raise StoreDown."""

    def __init__(self, redis: str | RedisLink) -> None:
        """The address of a Redis (see `RedisLink`), or a link that others use too. Raises UsageError."""
        self._link = RedisLink(redis) if isinstance(redis, str) else redis
        self._read: dict[str, list[str]] = {}

    @property
    def link(self) -> RedisLink:
        """For another store of the same process."""
        return self._link

    async def ping(self) -> bool:
        """Does Redis answer? The one method that does not raise StoreDown."""
        return await self._link.ping()

    async def close(self) -> None:
        await self._link.close()

    # Offers: from a client, through web, to a worker with room, and its answer back.

    async def offer(self, session: Session, sdp: str, wait_s: float) -> Answer | None:
        """Propose a new session in state OFFERED and wait for a worker's answer.

        CAMERA and PUBLISH go to whichever worker takes them first, VIEW to the worker of the session `of`. None:
        nobody took it in `wait_s` seconds (FAILED, "no_worker"), or whoever took it did not answer ("no_answer").
        Answers of the store itself, with no record made: "no_stream" (nothing live to view), "name_taken" (another
        owner publishes under that name), "full" (too many offers wait).
        """
        until_s = time.monotonic() + wait_s
        command = Command(kind="view", session=session.id, text=sdp).model_dump_json()
        latest_s = await self._link.now_s() + 2 * PATIENCE_S
        said = await self._link.run("offer", latest_s, wait_s, sdp, command, session.of, *session.to_fields())
        if said[0] == "late":
            raise StoreDown(f"Redis at {self._link.where} stood still")
        if said[0] != "ok":
            return Answer(problem=said[0], detail=PROBLEMS[said[0]])
        text = await self._answer(session.id, until_s) or await self._link.run("abandon", session.id)
        return None if text is None else Answer.model_validate_json(text)

    async def _answer(self, id: str, until_s: float) -> str | None:
        while (wait_s := min(until_s - time.monotonic(), SLICE_S)) > 0:
            got = await self._link.ask("BLPOP", keys.answer(id), wait_s, wait_s=wait_s)
            if got:
                return str(got[1])
        return None

    async def take(self, worker: str, block_s: float) -> tuple[Session, Offer] | None:
        """Wait up to `block_s` seconds for an offer and take it: CONNECTING, with a new fence and a lease of 4 s.

        Call it only with room for one more. Offers that a worker got and did not take before it died come too.
        """
        until_s = time.monotonic() + block_s
        while True:
            left_s = max(0.0, min(until_s - time.monotonic(), SLICE_S))
            offered = await self._link.run("claim", worker) or await self._next_offer(worker, left_s)
            if offered:
                entry, id, sdp = offered
                if taken := await self._link.run("take", id, worker, entry):
                    return Session.from_fields(taken[1]), Offer(session=id, sdp=sdp, deadline_s=float(taken[0]))
            elif time.monotonic() >= until_s:
                return None

    async def _next_offer(self, worker: str, wait_s: float) -> tuple[str, str, str] | None:
        block = ("BLOCK", max(1, int(wait_s * 1000)))  # 0 would be for ever
        query = ("XREADGROUP", "GROUP", keys.GROUP, worker, "COUNT", 1, *block, "STREAMS", keys.OFFERS, ">")
        try:
            got = await self._link.ask(*query, wait_s=wait_s)
        except ResponseError as exc:
            if str(exc).startswith(("NOGROUP", "UNBLOCKED")):  # flushed meanwhile; `claim` makes it anew
                return None
            raise
        if not got:
            return None
        entry, fields = got[0][1][0]
        return entry, fields["session"], fields["sdp"]

    async def accept(self, worker: str, id: str) -> Session | None:
        """As `take`, for the viewer that a command of kind "view" brings. None: it came too late."""
        taken = await self._link.run("take", id, worker, "")
        return Session.from_fields(taken[1]) if taken else None

    async def reply(self, session: Session, answer: Answer) -> None:
        """Answer the client that waits in `offer`. Raises Fenced when it does not wait any more, or NoSession."""
        _check(await self._link.run("reply", *_claim(session), answer.model_dump_json()), session.id)

    # Sessions: read by anybody, moved by the worker that has them.

    async def session(self, id: str) -> Session | None:
        found = await self._link.ask("HGETALL", keys.session(id))
        return Session.from_fields(found) if found else None

    async def sessions(self, owner: str | None = None) -> list[Session]:
        """All that are kept, final ones of the last ten minutes too, newest first; only those of `owner` if given."""
        ids = await self._link.ask("ZRANGE", keys.SESSIONS, 0, -1)
        pipe = self._link.pipeline(transaction=False)
        for id in ids:
            pipe.execute_command("HGETALL", keys.session(id))
        found = (
            [Session.from_fields(fields) for fields in await self._link.call(pipe.execute()) if fields] if ids else []
        )
        mine = (s for s in found if owner is None or s.owner == owner)
        return sorted(mine, key=lambda s: s.created_s, reverse=True)

    async def stream(self, name: str) -> Session | None:
        """The session that publishes under that name, if it is live."""
        id = await self._link.ask("GET", keys.name(name))
        found = await self.session(id) if id else None
        return found if found and found.state is SessionState.LIVE else None

    async def move(self, session: Session, to: SessionState, reason: str = "") -> Session:
        """The worker's word on where its session stands; a repeat of the last one changes nothing.

        A PUBLISH session that becomes LIVE takes its name over from one of the same owner, which is told to end
        ("replaced"). Raises BadMove, also when another owner has the name; Fenced; StoreDown.
        """
        before = "".join(f",{state}" for state in SessionState if to in MOVES[state]) + ","
        said = await self._link.run("move", *_claim(session), to, reason, before)
        if said[0] == "gone":
            await self.renew([session])
            said = await self._link.run("move", *_claim(session), to, reason, before)
        _check(said, session.id)
        return Session.from_fields(said[1])

    async def report(self, session: Session, meters: Meters) -> None:
        """What the session does just now. Raises Fenced or BadMove when it is over."""
        said = await self._link.run("report", *_claim(session), meters.model_dump_json())
        if said[0] != "gone":
            _check(said, session.id)

    async def renew(self, sessions: Iterable[Session]) -> set[str]:
        """Prolong a worker's leases, each second, with the records as `take` and `move` last gave them.

        Returns the ids of those that are no longer its own: it must stop them. A lease that lapsed while Redis was
        away is taken back, and a record that Redis lost is written again with the fence that it had.
        """
        pairs = [session.to_fields() for session in sessions]
        if not pairs:
            return set()
        return set(await self._link.run("renew", str(len(pairs[0])), *(value for one in pairs for value in one)))

    async def change(self, id: str, options: Options) -> Session:
        """New options, in the record and as a command to its worker. Raises NoSession or BadMove (it is over)."""
        command = Command(kind="options", session=id, options=options).model_dump_json()
        said = await self._link.run("change", id, options.model_dump_json(), command)
        _check(said, id)
        return Session.from_fields(said[1])

    async def end(self, id: str, reason: str) -> None:
        """Have it ended: at once where nobody has taken it, else by its worker. Nothing if it is over. NoSession."""
        command = Command(kind="end", session=id, reason=reason).model_dump_json()
        _check(await self._link.run("end", id, reason, command), id)

    async def reap(self) -> list[Session]:
        """End what nobody cares for: offers past their time (FAILED), sessions whose worker is gone (LOST).

        For everybody to call, about once a second. A lapsed lease is noticed at one call and given up at a later one,
        3 s after, so that owners who could not reach Redis come first.
        """
        return [Session.from_fields(fields) for fields in await self._link.run("reap")]

    # Workers: what they are told, and that they are there.

    async def send(self, worker: str, command: Command) -> None:
        await self._link.run("send", worker, command.model_dump_json())

    async def commands(self, worker: str, block_s: float) -> list[Command]:
        """What came for this worker since the last call, in order; waits up to `block_s` seconds for the first."""
        key, until_s = keys.commands(worker), time.monotonic() + block_s
        if read := self._read.get(worker):  # only now: what was read is what the last call returned
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

    async def beat(self, worker: Worker) -> None:
        """A sign of life, each second; without one for 4 s the worker is not listed any more."""
        seen_s = time.time()
        text = worker.model_copy(update={"seen_s": seen_s}).model_dump_json()
        pipe = self._link.pipeline()
        pipe.set(keys.worker(worker.id), text, px=int(keys.BEAT_S * 1000))
        pipe.zadd(keys.WORKERS, {worker.id: seen_s + keys.BEAT_S})
        pipe.expire(keys.WORKERS, keys.KEEP_S)
        await self._link.call(pipe.execute())

    async def workers(self, kind: str = "") -> list[Worker]:
        """Those with a heartbeat in the last 4 s; of one kind, "live" or "files", if given."""
        ids = await self._link.ask("ZRANGE", keys.WORKERS, 0, -1)
        texts: Any = await self._link.ask("MGET", *(keys.worker(id) for id in ids)) if ids else []
        found = [Worker.model_validate_json(text) for text in texts if text]
        return [worker for worker in found if kind in ("", worker.kind)]

    async def leave(self, worker: str) -> None:
        """The worker goes. Its sessions should be moved first; what it did not take goes to others."""
        await self._link.run("leave", worker)

    # Anything else that several processes must count together.

    async def spend(self, key: str, limit: int, window_s: int) -> float:
        """Count one use of `key`, of which a window of time has `limit`. 0.0: granted; else seconds until the next."""
        name, pipe = keys.spent(key), self._link.pipeline()
        pipe.set(name, 0, ex=window_s, nx=True)
        pipe.incr(name)
        pipe.pttl(name)
        _, count, left_ms = await self._link.call(pipe.execute())
        return 0.0 if count <= limit else max(left_ms, 1) / 1000


def _claim(session: Session) -> tuple[str, str, int]:
    """What a worker shows to be let through: id, its own name, fence."""
    return session.id, session.worker, session.fence


def _check(said: list[str], id: str) -> None:
    match said:
        case ["gone"]:
            raise NoSession(f"no session {id}")
        case ["fenced"]:
            raise Fenced(f"session {id} is somebody else's by now")
        case ["bad", state]:
            raise BadMove(f"session {id} is {state}")
        case [keys.NAME_TAKEN]:
            raise BadMove(f"session {id}: {PROBLEMS[keys.NAME_TAKEN]}")


def _command(text: str) -> Command | None:
    try:
        return Command.model_validate_json(text)
    except ValidationError:  # from a newer web, say; one that cannot be read must not stop the rest
        _log.warning("a command that this version does not know was passed over")
        return None
