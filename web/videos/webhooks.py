"""Webhooks: a signed POST to the address that a job names, when the job has ended; up to six attempts in an hour.

A call follows Standard Webhooks (https://www.standardwebhooks.com): `webhook-id`, the same for every attempt,
`webhook-timestamp`, the Unix time of the attempt, and `webhook-signature`, the HMAC-SHA256 of `ID.TIMESTAMP.BODY` under
the user's webhook secret (GET /api/webhook-secret). Receivers should reject old times and ids seen before.
`stream/fetch/safe_http.py` restricts the addresses that are called.
"""

import hashlib
import hmac
import logging
import time
from base64 import b64encode
from datetime import UTC, datetime
from typing import NamedTuple

from fastapi import APIRouter
from pydantic import BaseModel, Field

from stream.errors import FetchError
from stream.fetch.safe_http import redacted_url, request
from stream.log import OncePerSecond
from stream.records.jobs import Job
from web.context import Context, Here, Owner
from web.http.threads import in_network_thread
from web.videos.jobs import job_out

router = APIRouter(prefix="/api", tags=["jobs"])
_LEGACY_SIGNATURE = "Mattebox-Signature"  # deprecated: stays for one release
_GONE = 410  # the receiver wants no more calls
_RETRY_S = (15.0, 60.0, 300.0, 900.0, 2300.0)  # delays after the failed attempts, about an hour in total
IDLE_S = 1.0  # between checks for calls that are due
_log = OncePerSecond(logging.getLogger(__name__))


class WebhookSecret(BaseModel):
    secret: str = Field(description="`whsec_` and the key in base64, as the libraries of Standard Webhooks take it")
    legacy_secret: str = Field(description="the key of the deprecated header Mattebox-Signature")


class Failure(NamedTuple):
    """Why a call failed. final: it is not repeated."""

    reason: str
    final: bool = False


@router.get("/webhook-secret", operation_id="get_webhook_secret", summary="The key of your webhooks")
async def secret(owner: Owner, here: Here) -> WebhookSecret:
    """The key that signs the calls to your webhooks. It changes with your token and with the server's secret."""
    key = here.gate.webhook_key(owner)
    return WebhookSecret(secret=f"whsec_{b64encode(key).decode()}", legacy_secret=key.hex())


class Deliveries:
    """Makes the calls. Every web process does so; the store gives each call to one of them."""

    def __init__(self, here: Context) -> None:
        self._here = here

    async def deliver_due(self) -> None:
        """Make all calls that are due. Raises StoreDown."""
        while due := await self._here.jobs.next_hook():
            await self._deliver(*due)

    async def _deliver(self, job: Job, attempts: int) -> None:
        failure = await in_network_thread(_call, self._here, job)
        if not failure:
            await self._here.jobs.hook_delivered(job.id)
        elif attempts < len(_RETRY_S) and not failure.final:
            await self._here.jobs.postpone_hook(job.id, _RETRY_S[attempts])
        else:
            _log.warning("webhook of job %s abandoned: %s", job.id, failure.reason)
            await self._here.jobs.hook_delivered(job.id)


def _call(here: Context, job: Job) -> Failure | None:
    """Call the job's webhook. Returns None on success. Blocks."""
    body = _body(here, job)
    headers = {"Content-Type": "application/json"} | signed(
        here.gate.webhook_key(job.owner), _message_id(job), int(time.time()), body
    )
    try:
        with request("POST", job.webhook, here.settings, body, headers, silence_s=10) as answer:
            if 200 <= answer.status < 300:
                return None
            return Failure(f"{redacted_url(job.webhook)} answered {answer.status}", final=answer.status == _GONE)
    except FetchError as exc:
        return Failure(str(exc))


def _message_id(job: Job) -> str:
    """The id of a job's end: the same for every attempt, another one when a job that was repeated ends again."""
    return f"msg_{job.id}_{round(1000 * job.ended_s)}"


def _body(here: Context, job: Job) -> bytes:
    kind, ended = f"job.{job.state.value}", datetime.fromtimestamp(job.ended_s, UTC).isoformat(timespec="milliseconds")
    data = job_out(here, job).model_dump_json()
    # "event" and "job" are deprecated, like the header
    return f'{{"type":"{kind}","timestamp":"{ended}","data":{data},"event":"{kind}","job":{data}}}'.encode()


def signed(key: bytes, message_id: str, unix_s: int, body: bytes) -> dict[str, str]:
    """The headers of a call that identify and sign it."""
    stamp = str(unix_s)
    digest = hmac.digest(key, f"{message_id}.{stamp}.".encode() + body, hashlib.sha256)
    legacy = hmac.new(key.hex().encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{b64encode(digest).decode()}",
        _LEGACY_SIGNATURE: f"t={stamp},v1={legacy}",
    }
