"""Why a connection to a live source failed, in words. FFmpeg's own messages may quote the address and its password."""

import errno

import av

from stream.errors import MatteboxError

CLOSED = "the source closed the connection"
_STATUSES: dict[type[Exception], int] = {
    av.error.HTTPBadRequestError: 400,
    av.error.HTTPUnauthorizedError: 401,
    av.error.HTTPForbiddenError: 403,
    av.error.HTTPNotFoundError: 404,
    av.error.HTTPTooManyRequestsError: 429,
    av.error.HTTPOtherClientError: 499,
    av.error.HTTPServerError: 500,
}
_REFUSALS = {
    400: "bad request (400)",
    401: "wrong user or password (401)",
    403: "access forbidden (403)",
    404: "not found (404)",
    429: "too many requests (429)",
}
_NO_CREDENTIALS = "a user and a password are required (401)"


def refusal(status: int, has_user: bool) -> str:
    """What an HTTP or RTSP status from 400 means. has_user: the address has a user."""
    if status == 401 and not has_user:
        return _NO_CREDENTIALS
    other = "the source refused the request (4xx)" if status < 500 else "the source has an internal error (5xx)"
    return _REFUSALS.get(status, other)


def explained(exc: Exception, has_user: bool, opened: bool) -> str:
    """The reason for an error. has_user: the address has a user. opened: the source had answered."""
    if isinstance(exc, MatteboxError):
        return str(exc)
    if status := _STATUSES.get(type(exc)):
        return refusal(status, has_user)
    if isinstance(exc, av.error.InvalidDataError):
        return "the source sends invalid data" if opened else "the source did not answer with a video stream"
    if isinstance(exc, av.error.EOFError) or (isinstance(exc, OSError) and exc.errno == errno.EIO):
        return CLOSED
    if isinstance(exc, OSError) and exc.errno != errno.EINVAL:  # of the system, such as "connection refused"
        return str(exc.strerror or type(exc).__name__).lower()
    return "the source's answer cannot be read"
