"""A link to Redis that fails in a way that nobody expects, once for each of some calls."""

from collections import Counter
from typing import Any

from stream.records.redis_link import RedisLink


class OddLink(RedisLink):
    """odd: names of scripts and commands, or "pipeline", whose next call raises. calls: those that did not, by name.

    error: what is raised; by default RuntimeError.
    """

    def __init__(self, url: str, error: Exception | None = None) -> None:
        super().__init__(url)
        self._error = error
        self.odd: set[str] = set()
        self.calls: Counter[str] = Counter()

    def pipeline(self, transaction: bool = True) -> Any:
        self._count("pipeline")
        return super().pipeline(transaction)

    async def run(self, name: str, *values: str | float) -> Any:
        self._count(name)
        return await super().run(name, *values)

    async def ask(self, *words: str | float, wait_s: float = 0.0) -> Any:
        self._count(str(words[0]))
        return await super().ask(*words, wait_s=wait_s)

    def _count(self, name: str) -> None:
        if name in self.odd:
            self.odd.remove(name)
            raise self._error or RuntimeError(f"{name} is odd")
        self.calls[name] += 1
