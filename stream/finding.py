"""A result of `mattebox doctor`: what was checked, whether it works, and what to do if not."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """ok: True if it works, False if it is broken, None if it is absent and optional, or not known to be right. remedy:
    what to do, or ""."""

    name: str
    ok: bool | None
    detail: str
    remedy: str = ""


def failed(name: str, exc: Exception) -> Finding:
    """The finding of a check that raised an error which it does not know."""
    return Finding(name, False, f"{type(exc).__name__}: {exc}", "please report it, with this line")


async def guarded(name: str, check: Awaitable[list[Finding]]) -> list[Finding]:
    """The findings of a check; one that raises does not end the run."""
    try:
        return await check
    except Exception as exc:  # noqa: BLE001 - any error is a result to show to the user
        return [failed(name, exc)]


def guarded_now(name: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    """As `guarded`, for a function."""
    try:
        return check()
    except Exception as exc:  # noqa: BLE001 - any error is a result to show to the user
        return [failed(name, exc)]
