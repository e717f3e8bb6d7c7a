"""A network in a runtime that may fail, and in another that takes over when it does."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from stream.errors import EngineError
from workers.runtimes.base import Array, Network

Shapes = tuple[tuple[int, ...], ...]

_log = logging.getLogger(__name__)
_replaced = 0


def replaced() -> int:
    """How often a runtime has failed in this process, and was replaced."""
    return _replaced


class WithFallback:
    """See `base.Network`. first, own: load the network; `own` is called only if the other fails, to load or to run.

    Where the first fails, the other takes over for inputs of these shapes: some networks cannot be compiled for tiny
    pictures. An input with which both fail is at fault itself, and changes nothing. name: of the first runtime, for the
    log, which gets one line.
    """

    def __init__(self, first: Callable[[], Network], own: Callable[[], Network], name: str) -> None:
        self._own, self._name, self._lock = own, name, threading.Lock()
        self._first: Network | None = None
        self._spare: Network | None = None
        self._failed: set[Shapes] = set()
        try:
            self._first = first()
        except Exception as exc:  # noqa: BLE001 - whatever is wrong with it, the network must run
            self._report("cannot load this network", exc)
        known = self._first or self._loaded_spare()
        self.inputs, self.outputs = known.inputs, known.outputs

    def __call__(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        shapes = tuple(feed.shape for feed in feeds.values())
        if self._first is None or shapes in self._failed:
            return self._loaded_spare()(feeds, outputs)
        try:
            return self._first(feeds, outputs)
        except EngineError as exc:
            results = self._loaded_spare()(feeds, outputs)
            if not self._failed:
                self._report("failed", exc)
            self._failed.add(shapes)
            return results

    def close(self) -> None:
        with self._lock:
            for network in (self._first, self._spare):
                if network is not None:
                    network.close()

    def _loaded_spare(self) -> Network:
        with self._lock:
            if self._spare is None:
                self._spare = self._own()
            return self._spare

    def _report(self, what: str, exc: Exception) -> None:
        global _replaced
        _replaced += 1
        line = next((line for line in reversed(str(exc).splitlines()) if line.strip()), type(exc).__name__)
        _log.warning("%s %s, the network runs without it: %s", self._name, what, line.strip())
