"""Why an output is not live, in words for users: never FFmpeg's text, which may quote an address and its password."""

import errno as numbers
import os

ABORTED = "disconnected"
DIED = "the sending process ended"
FROZEN = "the receiver has accepted nothing for {:g} s"
MUTE = "the receiver did not answer within {:g} s"
_CLOSED = "the receiver closed the connection"
_REFUSALS = {
    "HTTPBadRequestError": "bad request (400)",
    "HTTPUnauthorizedError": "wrong user or password (401)",
    "HTTPForbiddenError": "access forbidden (403)",
    "HTTPNotFoundError": "not found (404)",
    "HTTPTooManyRequestsError": "too many requests (429)",
    "HTTPOtherClientError": "the receiver refused the request (4xx)",
    "HTTPServerError": "the receiver has an internal error (5xx)",
    "BrokenPipeError": _CLOSED,
    "ConnectionResetError": _CLOSED,
    "EOFError": _CLOSED,
}
_NO_CREDENTIALS = "a user and a password are required (401)"


def of_error(name: str, errno: int, opened: bool, has_user: bool) -> str:
    """The reason for an error. name: of the class. opened: the output was live. has_user: its address has a user."""
    if name == "HTTPUnauthorizedError" and not has_user:
        return _NO_CREDENTIALS
    if name in _REFUSALS:
        return _REFUSALS[name]
    if name == "InvalidDataError":
        return _CLOSED if opened else "the receiver's answer cannot be read"
    if errno == numbers.EIO:
        return _CLOSED if opened else "the host is unknown, cannot be reached, or refused the stream"
    if 0 < errno < 200 and errno != numbers.EINVAL:  # of the system, such as "connection refused"
        return os.strerror(errno).lower()
    return "the output cannot be written"
