"""Lists in pages, newest first: the cursor of a request, and the link to the next page (RFC 8288)."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

from fastapi import Response
from pydantic import BaseModel

from web.http.problems import Problem


@contextmanager
def cursor_problems() -> Iterator[None]:
    """Turns the ValueError of a store about an invalid cursor into Problem 422."""
    try:
        yield
    except ValueError as exc:
        raise Problem(422, "invalid", str(exc), field="cursor") from None


def page_response(listed: BaseModel, path: str, limit: int, cursor: str) -> Response:
    """The response with one page. path: of the list. cursor: of the next page, "" if this is the last one."""
    headers = {"Link": f'<{path}?{urlencode({"limit": limit, "cursor": cursor})}>; rel="next"'} if cursor else {}
    return Response(listed.model_dump_json(), headers=headers, media_type="application/json")
