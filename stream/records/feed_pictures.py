"""Small pictures of what running feeds send now, from the feed's worker to web. They pass through Redis as published
messages, which Redis neither keeps nor writes to disk, and they are made only when web asks for one.

A request is published to the worker: the id of the feed, and the channel on which web waits for the answer.
"""

import base64
import json
from collections.abc import Awaitable, Callable
from uuid import uuid4

from stream.records.redis_link import RedisLink

_ANSWER_S = 2.0  # a worker takes milliseconds
_POLL_S = 5.0  # then the subscription is checked

Draw = Callable[[str], Awaitable[bytes]]
"""The picture of the feed with this id, as JPEG; empty if there is none."""


class FeedPictures:
    """Every method may raise StoreDown."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def picture(self, worker: str, feed: str) -> bytes:
        """The picture of a feed, as JPEG, from the worker that runs it; empty if the worker has none or does not
        answer."""
        channel = self._link.keys.picture(str(uuid4()))
        async with self._link.subscribed(channel) as messages:
            request = json.dumps({"feed": feed, "reply": channel})
            if not await self._link.ask("PUBLISH", self._link.keys.pictures(worker), request):
                return b""
            return base64.b64decode(await messages.next(_ANSWER_S) or "")

    async def serve(self, worker: str, draw: Draw) -> None:
        """Answer the requests to a worker until the calling task is cancelled."""
        async with self._link.subscribed(self._link.keys.pictures(worker)) as messages:
            while True:
                if text := await messages.next(_POLL_S):
                    request = json.loads(text)
                    picture = base64.b64encode(await draw(request["feed"])).decode()
                    await self._link.ask("PUBLISH", request["reply"], picture)
