"""The sessions that a worker owns, of cameras and viewers: their leases, answers, meters and states in Redis.

Runs on the event loop. Knows nothing about connections: `connection_changed` reports when one is made or closed.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from stream.errors import BadMove, Fenced, NameTaken, NoSession, SdpError
from stream.loops import Loops
from stream.records.live import (
    BAD_SDP,
    CONNECT_TIMEOUT,
    DTLS_FAILED,
    ENGINE_FAILED,
    NAME_TAKEN,
    Answer,
    Meters,
    Offer,
    Session,
    SessionState,
)
from stream.records.live_store import LiveStore
from workers.live.stored import stored

_log = logging.getLogger(__name__)
_RETRY_S = 1.0
_REPLY_RETRY_S = 0.2  # while a client waits
_FAILURES = (CONNECT_TIMEOUT, DTLS_FAILED, ENGINE_FAILED, BAD_SDP, NAME_TAKEN)

End = Callable[[str, str], Awaitable[None]]
"""Ends a video: (session id, reason)."""


class Sessions:
    """The worker's sessions by id. failures: those that failed since the start, by reason."""

    def __init__(self, worker_id: str, store: LiveStore, loops: Loops) -> None:
        self._worker_id, self._store, self._loops = worker_id, store, loops
        self._held: dict[str, Session] = {}
        self.failures: Counter[str] = Counter()

    def hold(self, session: Session) -> None:
        """Renew its lease from now on."""
        self._held[session.id] = session

    async def accept_viewer(self, session_id: str) -> Session | None:
        """Claim the viewer named in a command, and hold it. None: it is too late."""
        viewer = await stored(lambda: self._store.accept(self._worker_id, session_id), _REPLY_RETRY_S)
        if viewer is not None:
            self.hold(viewer)
        return viewer

    async def renew(self) -> set[str]:
        """Renew all leases. Returns the ids of sessions that were lost to another worker. Raises StoreDown."""
        lost = await self._store.renew(list(self._held.values()))
        for session_id in lost:
            _log.warning("session %s now belongs to another worker", session_id)
            self._held.pop(session_id, None)
        return lost

    async def report(self, meters: Mapping[str, Meters]) -> None:
        """Store the meters of sessions, by id. Raises StoreDown."""
        await self._store.report_all((self._held[id], found) for id, found in meters.items() if id in self._held)

    async def answer(self, session: Session, answering: Awaitable[str]) -> None:
        """Send the client the SDP answer, or the reason for a refusal, after which the connection is already closed."""
        try:
            answer = Answer(sdp=await answering)
        except SdpError as exc:
            answer = Answer(problem=BAD_SDP, detail=str(exc))
        await self._reply(session, answer)

    async def refuse(self, session: Session, answer: Answer) -> None:
        """Refuse an offer for which no connection was made."""
        await self._reply(session, answer)
        self._settle(session, SessionState.FAILED, answer.problem)

    async def hand_back(self, session: Session, offer: Offer) -> None:
        """Let other workers take an offer that was not answered."""
        try:
            await stored(lambda: self._store.hand_back(session, offer), _REPLY_RETRY_S)
        except (Fenced, NoSession, BadMove) as exc:  # handed back, although the reply was lost; or the client is gone
            _log.info("session %s: %s", session.id, exc)

    async def _reply(self, session: Session, answer: Answer) -> None:
        try:
            await stored(lambda: self._store.reply(session, answer), _REPLY_RETRY_S)
        except (Fenced, NoSession) as exc:  # the client is gone: the connection will time out
            _log.info("session %s: %s", session.id, exc)

    def connection_changed(self, session_id: str, state: str, reason: str, end: End) -> None:
        """As the `changed` of a `LiveVideo`: the session's state follows its connection. end: called if it may not
        become live, because another user has taken the name of its stream."""
        session = self._held.get(session_id)
        if session is None:
            return
        if state == "connected":
            self._loops.start(self._go_live(session, end))
        else:
            self._settle(session, SessionState.FAILED if reason in _FAILURES else SessionState.ENDED, reason)

    async def _go_live(self, session: Session, end: End) -> None:
        try:
            await self._move(session, SessionState.LIVE, "")
        except NameTaken:
            await end(session.id, NAME_TAKEN)

    def _settle(self, session: Session, to: SessionState, reason: str) -> None:
        if to.final:
            self._held.pop(session.id, None)
        if to is SessionState.FAILED:
            self.failures[reason] += 1
        self._loops.start(self._move(session, to, reason))

    async def _move(self, session: Session, to: SessionState, reason: str) -> None:
        """Store the state; retried every second while Redis is unavailable. Raises NameTaken."""
        try:
            moved = await stored(lambda: self._store.move(session, to, reason), _RETRY_S)
        except NameTaken:
            raise
        except (BadMove, Fenced, NoSession) as exc:
            _log.info("session %s: %s", session.id, exc)
            return
        if moved is not None and session.id in self._held:
            self._held[session.id] = moved
