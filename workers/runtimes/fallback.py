"""A network in a runtime that may fail, and in another that takes over for good when it does."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from stream.errors import EngineError
from workers.runtimes.base import Array, Network

_log = logging.getLogger(__name__)
_replaced = 0


def replaced() -> int:
    """How often a runtime has failed in this process, and was replaced."""
    return _replaced


class WithFallback:
    """See `base.Network`. first, own: load the network; `own` is called only if the other fails, to load or to run.

    An input with which both fail is at fault itself, and changes nothing. name: of the first runtime, for the log.
    """

    def __init__(self, first: Callable[[], Network], own: Callable[[], Network], name: str) -> None:
        self._own, self._name, self._lock = own, name, threading.Lock()
        self._spare: Network | None = None
        try:
            self._network = first()
        except Exception as exc:  # noqa: BLE001 - whatever is wrong with it, the network must run
            self._network = self._spare = own()
            self._report("cannot load this network", exc)
        self.inputs, self.outputs = self._network.inputs, self._network.outputs

    def __call__(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        network = self._network
        try:
            return network(feeds, outputs)
        except EngineError as exc:
            if network is self._spare:
                raise
            results = self._loaded_spare()(feeds, outputs)
            self._switch(network, exc)
            return results

    def close(self) -> None:
        with self._lock:
            for network in {id(each): each for each in (self._network, self._spare) if each is not None}.values():
                network.close()

    def _loaded_spare(self) -> Network:
        with self._lock:
            if self._spare is None:
                self._spare = self._own()
            return self._spare

    def _switch(self, failed: Network, exc: Exception) -> None:
        """Use the spare from now on. Calls of other threads may still be in the failed network: it is not closed."""
        with self._lock:
            if self._network is not failed or self._spare is None:
                return
            self._network = self._spare
        self._report("failed", exc)

    def _report(self, what: str, exc: Exception) -> None:
        global _replaced
        _replaced += 1
        line = next((line for line in reversed(str(exc).splitlines()) if line.strip()), type(exc).__name__)
        _log.warning("%s %s, the network runs without it: %s", self._name, what, line)
