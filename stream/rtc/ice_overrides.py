"""Overrides of aioice 0.13's connection, for clients whose connectivity checks differ from those of browsers.

* A check without PRIORITY, as FFmpeg 8.0 sends it, raises KeyError in aioice.
* A client that answers every check with a role conflict makes aioice recurse without end.
* aioice ends a connection whose client answers no consent checks, although the client sends checks itself (FFmpeg 8.1).

Knows nothing about settings, addresses or media.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from typing import Any

import aioice
import aioice.ice
import aioice.stun
from aioice.candidate import candidate_priority

_log = logging.getLogger(__name__)

_CONSENT_S = 30.0  # RFC 7675, section 5.1, as is the interval
_CONSENT_INTERVAL_S = 5.0
_ROLE_SWITCHES = 8  # one is usual where both sides begin in the same role


class Consent:
    """Whether the client still agrees to receive media (RFC 7675). It expires 30 s after it was last given.

    clock: returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._given_s = clock, clock()

    def give(self) -> None:
        self._given_s = self._clock()

    @property
    def expired(self) -> bool:
        return self._clock() - self._given_s > _CONSENT_S


class TolerantConnection(aioice.Connection):
    """An ICE connection. checks: number of the client's connectivity checks with a valid signature."""

    consent: Consent
    checks: int
    _role_switches: int

    def reset(self) -> None:
        """Initialize the fields of this class: the object was created as an `aioice.Connection`."""
        self.consent, self.checks, self._role_switches = Consent(), 0, 0

    async def check_start(self, pair: aioice.ice.CandidatePair) -> None:
        """As aioice's; an error that the client's responses cause fails this pair only."""
        try:
            await super().check_start(pair)
        except Exception as exc:  # noqa: BLE001 - of untrusted input
            _log.debug("a check failed: %r", exc)
            self.check_state(pair, pair.State.FAILED)
            self.check_complete(pair)

    def switch_role(self, ice_controlling: bool) -> None:
        """As aioice's; raises ConnectionError for a client that reports role conflicts endlessly."""
        self._role_switches += 1
        if self._role_switches > _ROLE_SWITCHES:
            raise ConnectionError("too many ICE role conflicts")
        super().switch_role(ice_controlling)

    async def query_consent(self) -> None:
        """As aioice's, but the client's own authenticated checks count as consent too.

        RFC 7675 counts only responses to our checks. FFmpeg 8.1 answers none once it sends media, but keeps sending
        checks. These are signed with the password of this session, which only its client has, and must come from the
        address in use, which answered a check while connecting. So media never goes to a host that did not take part,
        and stops 30 s after the client's last check or answer.
        """
        self.consent.give()
        while not self.consent.expired:
            await asyncio.sleep(_CONSENT_INTERVAL_S * random.uniform(0.8, 1.2))
            for pair in list(self._nominated.values()):
                await self._ask_consent(pair)
        _log.info("consent to send expired")
        self._query_consent_task = None
        await self.close()

    async def _ask_consent(self, pair: aioice.ice.CandidatePair) -> None:
        key = (self.remote_password or "").encode()
        request = self.build_request(pair, nominate=False)
        with contextlib.suppress(aioice.stun.TransactionError):
            await pair.protocol.request(request, pair.remote_addr, integrity_key=key, retransmissions=0)
            self.consent.give()

    def request_received(self, message: Any, addr: tuple[str, int], protocol: Any) -> None:
        priority = candidate_priority(protocol.local_candidate.component, "prflx")
        message.attributes.setdefault("PRIORITY", priority)  # FFmpeg 8.0 sends none
        if self._is_authentic(message):
            self.checks += 1
            if any(pair.protocol is protocol and pair.remote_addr == addr for pair in self._nominated.values()):
                self.consent.give()
        super().request_received(message, addr, protocol)

    def _is_authentic(self, message: Any) -> bool:
        """Whether the client signed this request with the password of this connection."""
        user = message.attributes.get("USERNAME", "")
        return self._valid_username(user) and bool(message.check_message_integrity(self.local_password.encode()))
