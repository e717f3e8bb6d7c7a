"""Tell the addresses that jobs name how those ended: signed, tried again when nobody listens, six times in an hour.

A call carries `Mattebox-Signature: t=UNIX_TIME,v1=HEX`: the HMAC-SHA256 of `UNIX_TIME.BODY` under the user's webhook
secret (GET /api/webhook-secret). Whoever checks it refuses old times. Addresses are guarded as in stream/fetch/pull.py.
"""

import asyncio
import hashlib
import hmac
import logging
import time

from fastapi import APIRouter
from pydantic import BaseModel

from stream.errors import FetchError, MatteboxError, StoreDown
from stream.fetch.pull import redacted_url, request
from stream.log import OncePerSecond
from stream.records.jobs import Job
from web.context import Context, Here, Owner
from web.http.threads import in_network_thread
from web.videos.jobs import shown

router = APIRouter(prefix="/api", tags=["jobs"])
SIGNATURE = "Mattebox-Signature"
_AGAIN_S = (15.0, 60.0, 300.0, 900.0, 2300.0)  # after the first try, the second …: about an hour in all
_IDLE_S = 1.0
_log = OncePerSecond(logging.getLogger(__name__))


class Secret(BaseModel):
    secret: str


@router.get("/webhook-secret")
async def secret(owner: Owner, here: Here) -> Secret:
    """What the calls to your webhooks are signed with. It changes with your token and the server's secret."""
    return Secret(secret=here.gate.webhook_secret(owner))


async def tell_for_ever(here: Context) -> None:
    """Tell what is to be told. Every web process does so; the store gives each call to one of them."""
    while True:
        try:
            if await tell_next(here):
                continue
        except StoreDown:
            pass  # /readyz says so
        except MatteboxError as exc:
            _log.warning("webhooks: %s", exc)
        await asyncio.sleep(_IDLE_S)


async def tell_next(here: Context) -> bool:
    """One call, if one is due. False: there was none."""
    due = await here.jobs.next_hook()
    if due is None:
        return False
    job, tries = due
    refusal = await in_network_thread(_call, here, job)
    if not refusal:
        await here.jobs.hook_delivered(job.id)
    elif tries < len(_AGAIN_S):
        await here.jobs.postpone_hook(job.id, _AGAIN_S[tries])
    else:
        _log.warning("webhook of job %s given up: %s", job.id, refusal)
        await here.jobs.hook_delivered(job.id)
    return True


def _call(here: Context, job: Job) -> str:
    """Why it was not heard, "" if it was. Blocks."""
    text = shown(here, job).model_dump_json()
    body = f'{{"event":"job.{job.state.value}","job":{text}}}'.encode()
    stamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        SIGNATURE: f"t={stamp},v1={signature(here.gate.webhook_secret(job.owner), stamp, body)}",
    }
    try:
        with request("POST", job.webhook, here.settings, body, headers, silence_s=10) as answer:
            return "" if 200 <= answer.status < 300 else f"{redacted_url(job.webhook)} answers {answer.status}"
    except FetchError as exc:
        return str(exc)


def signature(secret: str, stamp: str, body: bytes) -> str:
    return hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
