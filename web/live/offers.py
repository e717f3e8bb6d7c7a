"""Place an SDP offer with a worker through the store, and turn the worker's reply into an answer or a problem."""

import re
import time
from uuid import uuid4

from stream.errors import SdpError
from stream.limits import RECORD_ID
from stream.records import live
from stream.records.jobs import POISON
from stream.records.live import Answer, Session, SessionKind
from stream.records.options import Options
from stream.rtc.ice import CandidatePolicy, ice_servers
from stream.rtc.sdp import MediaDirections, ParsedOffer, read_offer
from stream.settings import Settings
from web.context import Context
from web.http.problems import Problem

_FULL = (
    "no worker has capacity for this video now; wait until another video ends, start another worker (mattebox worker), "
    "or raise MATTEBOX_LIVE_SESSIONS if the machine can do more"
)
_UNANSWERED = {reason: live.REASONS[reason] for reason in (live.NO_ANSWER, POISON)} | {live.NO_WORKER: _FULL}
"""Why an offer was not answered, by the session's reason."""
_RETRY_S = 2
CLIENT_ERRORS = {live.BAD_SDP: "sdp", live.USAGE: "options"}
"""Problems of workers that the client caused, and the field of the request that did."""


def new_session(kind: SessionKind, owner: str, options: Options, **fields: str) -> Session:
    """fields: `name`, `of` and `ufrag` of the session, where it has them."""
    return Session(id=str(uuid4()), kind=kind, owner=owner, options=options, **fields)


async def place(here: Context, session: Session, sdp: str) -> str:
    """Offer the session to the workers and return the SDP answer.

    Raises Problem 422 if the client must change the offer, 404 or 409 for its stream name, 503 if no worker takes it.
    """
    began_s = time.perf_counter()
    answer = await here.store.offer(session, sdp, here.settings.offer_wait_s)
    here.counters.offer_seconds.observe(time.perf_counter() - began_s)
    problem = await _unanswered(here, session) if answer is None else _problem(answer)
    here.counters.offers.labels(session.kind.value, problem.code if problem else "answered").inc()
    if problem is not None:
        raise problem
    assert answer is not None
    return answer.sdp


def check_offer(sdp: str, kind: SessionKind) -> ParsedOffer:
    """Read an offer, and reject one that no worker could use, before it is placed. Raises Problem 422.

    Which candidate addresses are allowed is decided by the worker.
    """
    wants = MediaDirections(video_in=kind is not SessionKind.VIEW, video_out=kind is not SessionKind.PUBLISH)
    try:
        return read_offer(sdp, wants, CandidatePolicy(loopback=True))
    except SdpError as exc:
        raise Problem(422, exc.code, str(exc), field="sdp") from None


async def _unanswered(here: Context, session: Session) -> Problem:
    """The problem of an offer that nobody answered in time; its code is the reason in the session's record."""
    found = await here.store.session(session.id)
    reason = found.reason if found is not None and found.reason in _UNANSWERED else live.NO_WORKER
    return Problem(503, reason, _UNANSWERED[reason], retry_s=_RETRY_S)


def _problem(answer: Answer) -> Problem | None:
    """The worker's error as a problem: 422 where the client must change its offer, else usually 503 to retry."""
    if answer.problem == live.NO_STREAM:
        return not_live()
    if answer.problem == live.NAME_TAKEN:
        return name_taken()
    if not answer.problem:
        return None
    if field := CLIENT_ERRORS.get(answer.problem):
        return Problem(422, answer.problem, answer.detail or "the offer cannot be used", field=field)
    return Problem(503, answer.problem, answer.detail or "the server cannot take this video now", retry_s=_RETRY_S)


def not_live() -> Problem:
    return Problem(404, "not_live", "no stream with this name is live now", retry_s=3)


def name_taken() -> Problem:
    return Problem(409, live.NAME_TAKEN, "another user is publishing under this name", retry_s=_RETRY_S)


async def owned(here: Context, owner: str, id: str) -> Session:
    """The owner's session with this id. Raises Problem 404, also for another user's session."""
    session = await here.store.session(id) if RECORD_ID.fullmatch(id) else None
    if session is None or session.owner != owner:
        raise Problem(404, "not_found", "there is no such session")
    return session


def ice(settings: Settings, owner: str) -> list[dict[str, object]]:
    """STUN and TURN servers in the format of RTCPeerConnection, with credentials that expire."""
    return ice_servers(settings, re.sub(r"[^A-Za-z0-9]", "-", owner) or "anyone")
