"""Why a connection to a live source failed, in words. FFmpeg's own messages may quote the address and its password."""

import errno

import av

from stream.errors import MatteboxError

CLOSED = "the source closed the connection"
_NO_CREDENTIALS = "a user and a password are required (401)"
_REFUSALS: dict[type[Exception], str] = {
    av.error.HTTPBadRequestError: "bad request (400)",
    av.error.HTTPUnauthorizedError: "wrong user or password (401)",
    av.error.HTTPForbiddenError: "access forbidden (403)",
    av.error.HTTPNotFoundError: "not found (404)",
    av.error.HTTPTooManyRequestsError: "too many requests (429)",
    av.error.HTTPOtherClientError: "the source refused the request (4xx)",
    av.error.HTTPServerError: "the source has an internal error (5xx)",
}


def explained(exc: Exception, has_user: bool, opened: bool) -> str:
    """The reason for an error. has_user: the address has a user. opened: the source had answered."""
    if isinstance(exc, MatteboxError):
        return str(exc)
    if isinstance(exc, av.error.HTTPUnauthorizedError) and not has_user:
        return _NO_CREDENTIALS
    if refusal := _REFUSALS.get(type(exc)):
        return refusal
    if isinstance(exc, av.error.InvalidDataError):
        return "the source sends invalid data" if opened else "the source did not answer with a video stream"
    if isinstance(exc, av.error.EOFError) or (isinstance(exc, OSError) and exc.errno == errno.EIO):
        return CLOSED
    if isinstance(exc, OSError) and exc.errno != errno.EINVAL:  # of the system, such as "connection refused"
        return str(exc.strerror or type(exc).__name__).lower()
    return "the source's answer cannot be read"
