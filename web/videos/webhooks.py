"""Webhooks: a signed POST to the address that a job names, when the job has ended; up to six attempts in an hour.

A call has the header `Mattebox-Signature: t=UNIX_TIME,v1=HEX`, the HMAC-SHA256 of `UNIX_TIME.BODY` under the user's
webhook secret (GET /api/webhook-secret). Receivers should reject old times. `stream/fetch/safe_http.py` restricts the
addresses that are called.
"""

import asyncio
import hashlib
import hmac
import logging
import time

from fastapi import APIRouter
from pydantic import BaseModel

from stream.errors import FetchError, MatteboxError, StoreDown
from stream.fetch.safe_http import redacted_url, request
from stream.log import OncePerSecond
from stream.records.jobs import Job
from web.context import Context, Here, Owner
from web.http.threads import in_network_thread
from web.videos.jobs import job_out

router = APIRouter(prefix="/api", tags=["jobs"])
SIGNATURE = "Mattebox-Signature"
_RETRY_S = (15.0, 60.0, 300.0, 900.0, 2300.0)  # delays after the failed attempts, about an hour in total
_IDLE_S = 1.0
_log = OncePerSecond(logging.getLogger(__name__))


class Secret(BaseModel):
    secret: str


@router.get("/webhook-secret")
async def secret(owner: Owner, here: Here) -> Secret:
    """The key that signs the calls to your webhooks. It changes with your token and with the server's secret."""
    return Secret(secret=here.gate.webhook_secret(owner))


async def deliver_forever(here: Context) -> None:
    """Deliver webhooks as they become due. Every web process does so; the store gives each call to one of them."""
    while True:
        try:
            if await deliver_next(here):
                continue
        except StoreDown:
            pass  # /readyz reports it
        except MatteboxError as exc:
            _log.warning("webhooks: %s", exc)
        await asyncio.sleep(_IDLE_S)


async def deliver_next(here: Context) -> bool:
    """Make one call if one is due. Returns whether one was."""
    due = await here.jobs.next_hook()
    if due is None:
        return False
    job, attempts = due
    failure = await in_network_thread(_call, here, job)
    if not failure:
        await here.jobs.hook_delivered(job.id)
    elif attempts < len(_RETRY_S):
        await here.jobs.postpone_hook(job.id, _RETRY_S[attempts])
    else:
        _log.warning("webhook of job %s abandoned: %s", job.id, failure)
        await here.jobs.hook_delivered(job.id)
    return True


def _call(here: Context, job: Job) -> str:
    """Call the job's webhook. Returns "" on success, else the reason of the failure. Blocks."""
    text = job_out(here, job).model_dump_json()
    body = f'{{"event":"job.{job.state.value}","job":{text}}}'.encode()
    stamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        SIGNATURE: f"t={stamp},v1={signature(here.gate.webhook_secret(job.owner), stamp, body)}",
    }
    try:
        with request("POST", job.webhook, here.settings, body, headers, silence_s=10) as answer:
            return "" if 200 <= answer.status < 300 else f"{redacted_url(job.webhook)} answered {answer.status}"
    except FetchError as exc:
        return str(exc)


def signature(secret: str, stamp: str, body: bytes) -> str:
    """The HMAC-SHA256 of a call in hexadecimal digits. stamp: its Unix time."""
    return hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
