"""The ASGI application: routes, middleware and their shared context. Built by `create_app`, run by `server.py`."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from stream.loops import Loops, Round
from stream.records.feed_pictures import FeedPictures
from stream.records.feed_store import FeedStore
from stream.records.job_store import JobStore
from stream.records.live_store import LiveStore
from stream.settings import Settings
from stream.storage import open_storage
from web import backgrounds, health, login, options
from web.context import Context, StreamName
from web.http import guard, openapi, problems, tus
from web.http.auth import Gate
from web.http.cors import CrossOrigin
from web.http.counters import Counters, RequestCounter
from web.http.guard import MAX_BODY, BodyLimit, OriginCheck, SecurityHeaders
from web.http.secret_check import CHECK_S, SecretCheck
from web.http.token_check import TokenCheck
from web.live import feeds, sessions, whip
from web.stores.backgrounds import BackgroundStore
from web.stores.job_forecast import JobForecast
from web.stores.job_watch import JobWatch
from web.stores.open_uploads import open_uploads
from web.videos import candidates, events, job_form, previews, results, sources, uploads, webhooks
from web.videos import jobs as jobs_api
from web.videos.sweeper import Sweeper
from web.videos.webhooks import Deliveries

STATIC = Path(__file__).parent / "static"
_REAP_S = 1.0
_REAP_FEEDS_S = 0.5  # their leases are shorter, and an outage of Redis is noticed by a gap between these calls
_TELLERS = 4  # webhook deliveries at once, so that one slow receiver does not delay the others
# Swagger UI puts styles into elements and pictures into style sheets
_DOCS_CSP = guard.CSP.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'").replace("blob:", "data:")
_log = logging.getLogger(__name__)
pages = APIRouter(include_in_schema=False)


def create_app(settings: Settings, store: LiveStore) -> FastAPI:
    """The ASGI application. The caller closes `store`. Raises UsageError, DiskError."""
    app = FastAPI(
        title="Mattebox", version="0.1.0", summary="Cuts people out of video, live and from files.",
        docs_url=None, redoc_url=None, lifespan=_lifespan,
    )  # fmt: skip
    openapi.install(app)
    gate, counters = Gate(settings), Counters()
    storage = open_storage(settings)
    jobs = JobStore(store.link)
    app.state.context = Context(
        settings,
        store,
        gate,
        BackgroundStore(settings, storage),
        counters,
        storage,
        open_uploads(settings, storage, store.link),
        jobs,
        FeedStore(store.link),
        FeedPictures(store.link),
        JobWatch(),
        JobForecast(jobs),
        TokenCheck(gate, store.spend),
    )
    problems.install(app)
    for part in (
        sessions,
        whip,
        feeds,
        backgrounds,
        options,
        uploads,
        sources,
        events,
        job_form,  # before the other route for POST /api/jobs
        jobs_api,
        results,
        candidates,
        previews,
        webhooks,
        login,
        health,
    ):
        app.include_router(part.router)
    app.include_router(pages)
    app.mount("/static/swagger", Revalidated(packages=[("fastapi_offline", "static")]))
    app.mount("/static", Revalidated(directory=STATIC))
    # the last middleware added is the outermost
    app.add_middleware(problems.InternalErrors)
    app.add_middleware(BodyLimit, limit=MAX_BODY, exempt=(backgrounds.PATH, tus.PATH), own_limit=job_form.is_form)
    origins = frozenset(_split(settings.origins))
    app.add_middleware(OriginCheck, loopback_only=gate.open, origins=origins)
    app.add_middleware(CrossOrigin, paths=whip.PATHS, open=gate.open, origins=origins, is_link=gate.is_link)
    app.add_middleware(RequestCounter, counters=counters)
    app.add_middleware(tus.TusHeaders)
    app.add_middleware(SecurityHeaders)
    return app


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with Loops(_log, "retrying").running(*background_loops(app.state.context)):
        yield


def background_loops(here: Context) -> list[tuple[Round, float]]:
    """The loops of a web process: (work, seconds between rounds). Every process runs them; concurrent runs are safe.

    `reap` and `reap_jobs` end or requeue the work of lost workers.
    """
    tellers = [(Deliveries(here).deliver_due, webhooks.IDLE_S)] * _TELLERS
    reapers = [(here.store.reap, _REAP_S), (here.jobs.reap_jobs, _REAP_S), (here.feeds.reap, _REAP_FEEDS_S)]
    secret = (SecretCheck(here.gate.fingerprint, here.store.share_secret).look, CHECK_S)
    return [*reapers, (Sweeper(here).wait_and_sweep, 0.0), *tellers, secret]


_COMPRESSED_BYTES = 1000  # smaller files are not worth it


class Revalidated(StaticFiles):
    """Static files that browsers revalidate on each use, so that a new version is used at once. They are compressed and
    always sent whole, because a part of a compressed file is of no use."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        compressed = GZipMiddleware(super().__call__, minimum_size=_COMPRESSED_BYTES)
        await compressed({**scope, "headers": headers}, receive, send)

    def file_response(self, full_path: object, stat_result: object, scope: Scope, status_code: int = 200) -> object:  # type: ignore[override]
        response = super().file_response(full_path, stat_result, scope, status_code)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "no-cache"
        return response


@pages.get("/")
async def index() -> FileResponse:
    return _page("studio/studio.html")


@pages.get("/videos")
async def videos() -> FileResponse:
    return _page("videos/videos.html")


@pages.get("/feeds")
async def feeds_page() -> FileResponse:
    return _page("feeds/feeds.html")


@pages.get("/view/{name}")
async def viewer(name: StreamName) -> FileResponse:
    return _page("view/view.html")


@pages.get("/obs/{name}")
async def obs_source(name: StreamName) -> FileResponse:
    return _page("obs/obs.html")


@pages.get("/docs")
async def api_docs() -> FileResponse:
    page = _page("docs/docs.html")
    page.headers["Content-Security-Policy"] = _DOCS_CSP
    return page


@pages.get("/favicon.ico")
async def icon() -> FileResponse:
    return FileResponse(STATIC / "shared/icon.svg", media_type="image/svg+xml", headers={"Cache-Control": "no-cache"})


def _page(name: str) -> FileResponse:
    return FileResponse(STATIC / name, headers={"Cache-Control": "no-cache"})
