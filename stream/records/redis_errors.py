"""Errors of Redis: which mean that it is unavailable, and what its reply was. Does not connect."""

import re

from redis.exceptions import (
    AskError,
    ClusterError,
    ExecAbortError,
    InvalidResponse,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisGone
from redis.exceptions import TimeoutError as RedisSlow

_OUTAGES = (
    *(RedisGone, RedisSlow, OSError, InvalidResponse),  # RedisGone includes LOADING, NOAUTH and WRONGPASS
    *(OutOfMemoryError, ReadOnlyError, NoPermissionError, ExecAbortError),
    *(ClusterError, AskError),  # CLUSTERDOWN, MASTERDOWN, MOVED; ASK: `redis_cluster.py`
)
_OUTAGE = re.compile(
    r"(OOM|READONLY|LOADING|MISCONF|NOREPLICAS|MASTERDOWN|CLUSTERDOWN|BUSY|TRYAGAIN|CROSSSLOT|NOAUTH|NOPERM)\b"
    r"|UNBLOCKED force"  # the server became a replica while the call waited
    r"|DB index is out of range|SELECT is not allowed"
    r"|ACL failure in script|The user executing the script can't"
    r"|Script attempted to access a non local key"  # a cluster
)
_IN_PIPELINE = " of pipeline caused error: "


def is_outage(exc: BaseException) -> bool:
    """Whether an error means that Redis is unavailable or refuses calls, rather than that a call was wrong.

    Errors that have no class of their own are recognised by the code with which the server's reply begins.
    """
    return isinstance(exc, _OUTAGES) or (isinstance(exc, ResponseError) and bool(_OUTAGE.match(reason(exc))))


def reason(exc: BaseException) -> str:
    """The server's error reply in one line, beginning with its code; without the command, which a pipeline quotes."""
    text = str(exc)
    if _IN_PIPELINE in text:
        text = text.rpartition(_IN_PIPELINE)[2].strip("(),'\"")
    code = getattr(exc, "status_code", None)
    line = (text.splitlines() or ["no reply in time"])[0]
    return line if code in (None, "ERR") else f"{code} {line}"
