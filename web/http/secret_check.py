"""Warns when the web processes of one Redis have different secrets, because their cookies and links then differ too."""

import logging
from collections.abc import Awaitable, Callable

_EVERY_ROUNDS = 180  # between two warnings: an hour, at CHECK_S
CHECK_S = 20.0
_log = logging.getLogger(__name__)


class SecretCheck:
    """fingerprint: of this process's secret, which does not reveal it. shared: stores a fingerprint that all web
    processes share, unless there is one that a process renews; returns that which is stored."""

    def __init__(self, fingerprint: str, shared: Callable[[str], Awaitable[str]]) -> None:
        self._fingerprint, self._shared = fingerprint, shared
        self._silent = 0  # rounds

    async def look(self) -> None:
        """One round. Raises StoreDown."""
        if await self._shared(self._fingerprint) == self._fingerprint:
            self._silent = 0
        elif self._silent:
            self._silent -= 1
        else:
            self._silent = _EVERY_ROUNDS
            _log.warning(
                "another web process has a different secret, so sign-ins and links of one are invalid at the other: "
                "set the same MATTEBOX_SECRET for all of them"
            )
