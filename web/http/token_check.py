"""Access tokens in requests, with a limit on wrong ones per client, which all web processes share.

The limit must make guessing slow, yet lock nobody out: many people may share an address, and one of them may have a
program with an old token, or be an attacker.

* A user whose token was accepted from an address before is never limited there.
* For others, an address over the limit is not refused but slowed down: each answer takes a second, a few at a time.
  A correct token is then accepted. Only a flood of guesses, which takes all places, makes first sign-ins from the same
  address fail with 429 while it lasts.
* Cookies and signed links are not limited: their signatures cannot be guessed.

Behind a reverse proxy, MATTEBOX_TRUSTED_PROXIES tells the clients apart; without it they are one address, and anyone
who shares it with a user may guess that user's token at full speed. Tokens therefore have to be long and random.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from stream.errors import StoreDown
from web.http.addresses import client_of
from web.http.auth import Gate
from web.http.problems import Problem

TRIES, WINDOW_S = 10, 60
_SLOW_S = 1.0  # duration of an answer to an address over the limit
_PLACES = 4  # such answers at a time, per address and process
_REMEMBERED = 10_000  # pairs of address and user


class TokenCheck:
    """spend: counts one use of a key, as `LiveStore.spend` does: (key, limit, seconds) -> seconds to wait."""

    def __init__(self, gate: Gate, spend: Callable[[str, int, int], Awaitable[float]]) -> None:
        self._gate, self._spend = gate, spend
        self._accepted: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._slowed: Counter[str] = Counter()

    async def user_of(self, token: str, host: str) -> str | None:
        """The user with this access token, sent from the address `host`; None for a wrong token.

        Raises Problem 429 for a wrong token from an address over the limit, and for any token from an address that was
        not accepted there before while too many are being checked.
        """
        user, client = self._gate.user_of(token), client_of(host)
        if user is not None and (client, user) in self._accepted:
            return user
        wait_s = await self._wait_s(client)
        if wait_s != 0:
            async with self._place(client, wait_s or _SLOW_S):
                await asyncio.sleep(_SLOW_S)
        if user is not None:
            self._remember(client, user)
        elif wait_s:
            raise _too_many(wait_s)
        return user

    async def _wait_s(self, client: str) -> float | None:
        """0 below the limit, else the seconds until it ends; None if unknown, which is slowed down too."""
        try:
            return await self._spend(f"login:@{client}", TRIES, WINDOW_S)
        except StoreDown:
            return None

    @asynccontextmanager
    async def _place(self, client: str, wait_s: float) -> AsyncIterator[None]:
        if self._slowed[client] >= _PLACES:
            raise _too_many(wait_s)
        self._slowed[client] += 1
        try:
            yield
        finally:
            self._slowed[client] -= 1
            if not self._slowed[client]:
                del self._slowed[client]

    def _remember(self, client: str, user: str) -> None:
        self._accepted[client, user] = None
        if len(self._accepted) > _REMEMBERED:
            self._accepted.popitem(last=False)


def _too_many(wait_s: float) -> Problem:
    return Problem(429, "too_many", f"too many wrong tokens; the limit is {TRIES} in {WINDOW_S} s", retry_s=wait_s)
