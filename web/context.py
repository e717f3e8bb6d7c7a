"""The objects that the routes share, and their dependencies: context, visitor, user, rate limits.

Dependencies are coroutines: FastAPI would run functions in threads, which slow downloads can use up.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Path, Request, Security

from stream import limits
from stream.records.feed_pictures import FeedPictures
from stream.records.feed_store import FeedStore
from stream.records.job_store import JobStore
from stream.records.live_store import LiveStore
from stream.settings import Settings
from stream.storage import Storage
from web.http.addresses import client_of
from web.http.auth import Gate, Visitor, bearer_token
from web.http.counters import Counters
from web.http.openapi import BEARER, LINK, SIGNED_IN
from web.http.problems import Problem
from web.http.token_check import TokenCheck
from web.stores.backgrounds import BackgroundStore
from web.stores.job_forecast import JobForecast
from web.stores.job_watch import JobWatch
from web.stores.uploads import UploadStore

OFFER_WINDOW_S = 10


@dataclass(frozen=True)
class Context:
    settings: Settings
    store: LiveStore
    gate: Gate
    background_store: BackgroundStore
    counters: Counters
    storage: Storage
    upload_store: UploadStore
    jobs: JobStore
    feeds: FeedStore
    feed_pictures: FeedPictures
    watch: JobWatch
    forecast: JobForecast
    tokens: TokenCheck


async def context(request: Request) -> Context:
    here: Context = request.app.state.context
    return here


Here = Annotated[Context, Depends(context)]


async def _visitor(request: Request, here: Here) -> Visitor:
    """Raises Problem 401, and 429 after many wrong access tokens."""
    token = bearer_token(request.headers)
    if token and (linked := here.gate.link(token)) is not None:
        return linked
    if token and not here.gate.open:
        user = await here.tokens.user_of(token, address_of(request))
        if user is not None:
            return Visitor(user)
    return here.gate.visitor(request)


_Visitor = Annotated[Visitor, Depends(_visitor)]
# for the description of the API: `Gate` reads the credentials
_WITH_TOKEN, _WITH_COOKIE, _WITH_LINK = (Security(scheme) for scheme in (BEARER, SIGNED_IN, LINK))


async def _anyone(
    visitor: _Visitor, bearer: Any = _WITH_TOKEN, cookie: Any = _WITH_COOKIE, link: Any = _WITH_LINK
) -> Visitor:
    return visitor


Anyone = Annotated[Visitor, Depends(_anyone)]
"""A signed-in user, or the holder of a signed link."""


async def _owner(visitor: _Visitor, bearer: Any = _WITH_TOKEN, cookie: Any = _WITH_COOKIE) -> str:
    if visitor.scope != "login":
        raise Problem(403, "link_scope", f"this link is for {visitor.scope}ing {visitor.name!r} only")
    return visitor.owner


Owner = Annotated[str, Depends(_owner)]
"""The name of the signed-in user. Signed links are rejected with 403."""

StreamName = Annotated[str, Path(pattern=f"^{limits.NAME}$", description="letters, digits, dot, dash, underscore")]


def address_of(request: Request) -> str:
    """The client's address, which a trusted proxy reports; "" if unknown."""
    return request.client.host if request.client else ""


async def spend(here: Context, request: Request, what: str, owner: str, limit: int, window_s: int) -> None:
    """Count one request of kind `what` by this user from this address.

    Raises Problem 429 after `limit` requests within the last `window_s` seconds.
    """
    wait_s = await here.store.spend(f"{what}:{owner}@{client_of(address_of(request))}", limit, window_s)
    if wait_s > 0:
        raise Problem(429, "too_many", f"too many requests; the limit is {limit} in {window_s} s", retry_s=wait_s)


async def spend_offer(here: Context, request: Request, owner: str) -> None:
    await spend(here, request, "offer", owner, here.settings.max_offers, OFFER_WINDOW_S)
