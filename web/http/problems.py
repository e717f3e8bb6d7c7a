"""Errors as problem+json (RFC 9457): one format for every error, and no 5xx for a client's mistake."""

import json
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stream.errors import DiskError, MatteboxError, NoJob, NoSession, Overloaded, StoreDown, StoreError, without_paths
from stream.log import OncePerSecond

MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger(__name__)
_disk_log = OncePerSecond(_log)
_STORE_RETRY_S, _OVERLOAD_RETRY_S = 2, 5
_STATUS: dict[type[MatteboxError], int] = {NoSession: 404, NoJob: 404, StoreError: 409, DiskError: 507}
_TITLES = {460: "Checksum Mismatch"}  # a status that tus adds
_DETAILS = {
    HTTPStatus.NOT_FOUND: "there is nothing at this address",
    HTTPStatus.METHOD_NOT_ALLOWED: "this address does not support that method",
    HTTPStatus.BAD_REQUEST: "the request body cannot be read",
}


class Problem(HTTPException):
    """An error response: `code` is for programs, `detail` is a sentence for people, `field` names the wrong input.

    headers: further response headers, with `_` for `-` in their names.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, field: str = "", retry_s: float | None = None, **headers: str
    ) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if retry_s is not None:
            named["Retry-After"] = str(max(1, round(retry_s)))
        super().__init__(status, detail, named or None)
        self.code = code
        self.faults: list[dict[str, str]] = [{"field": field, "detail": detail}] if field else []

    def response(self) -> Response:
        return render(self.status_code, self.code, str(self.detail), self.faults, self.headers)


def render(status: int, code: str, detail: str, faults: Sequence[dict[str, str]] = (), headers: Any = None) -> Response:
    """Build the response, without paths of this machine.

    It is ASCII JSON, because client input may contain lone surrogates, which UTF-8 rejects.
    """
    body: dict[str, Any] = {
        "type": f"urn:mattebox:problem:{code}",
        "title": _TITLES.get(status) or HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": without_paths(detail),
    }
    if faults:
        body["errors"] = [fault | {"detail": without_paths(fault["detail"])} for fault in faults]
    return Response(json.dumps(body), status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Turn every error of the application into a problem response."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(StoreDown, _store_down)
    app.add_exception_handler(Overloaded, _overloaded)
    app.add_exception_handler(MatteboxError, _mattebox_error)
    app.add_exception_handler(Exception, _internal_error)


async def _http_error(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    if isinstance(exc, Problem):
        return exc.response()
    status = HTTPStatus(exc.status_code)
    return render(status, status.name.lower(), _DETAILS.get(status, status.phrase), headers=exc.headers)


async def _invalid_request(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    if any(error["type"] == "json_invalid" for error in exc.errors()):
        return Problem(400, "bad_json", "the request body is not valid JSON").response()
    return invalid(exc.errors()).response()


def invalid(errors: Sequence[Any], under: str = "") -> Problem:
    """A 422 problem from pydantic's errors, naming each field but not repeating its value. under: a field prefix."""
    faults = [{"field": _field(e["loc"], under), "detail": _detail(e["msg"])} for e in errors[:20]]
    problem = Problem(422, "invalid", "; ".join(f"{f['field']}: {f['detail']}" for f in faults[:3]))
    problem.faults = faults
    return problem


def _field(location: Sequence[Any], under: str) -> str:
    parts = [str(p)[:64] for p in location if p not in ("body", "query", "path", "header")]
    return ".".join([under, *parts] if under else parts) or "body"


def _detail(message: str) -> str:
    return message.removeprefix("Value error, ")[:300]


async def _store_down(_: Request, exc: Exception) -> Response:
    return Problem(
        503, "store_down", "Redis cannot be reached or refuses writes; try again soon", retry_s=_STORE_RETRY_S
    ).response()


async def _overloaded(_: Request, exc: Exception) -> Response:
    return Problem(503, Overloaded.code, str(exc), retry_s=_OVERLOAD_RETRY_S).response()


async def _mattebox_error(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, MatteboxError)
    if isinstance(exc, DiskError):  # the operator's problem, and its path is not in the response
        _disk_log.warning("%s", exc)
    status = next((number for kind, number in _STATUS.items() if isinstance(exc, kind)), 422)
    return render(status, exc.code, str(exc))


async def _internal_error(_: Request, exc: Exception) -> Response:
    _log.error("a request failed", exc_info=exc)
    return render(500, "internal", "internal server error; see the server's log")


class InternalErrors:
    """Answers unexpected exceptions with 500, to be added inside all other middleware.

    Starlette's own handler is outside of it: its response lacks the headers of CORS and security, and is not counted.

    An exception after the beginning of a response is passed on, so that the server closes the connection.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def note(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, note)
        except Exception as exc:
            if begun or scope["type"] != "http":
                raise
            await (await _internal_error(Request(scope), exc))(scope, receive, send)
