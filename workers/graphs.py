"""A function of one tensor, captured for the sizes it will see: a replay launches hundreds of kernels at once.

A graph has fixed places in memory for what goes in and comes out. Pictures go in as many as a graph was captured for:
the next larger one, the rest filled with their last. Knows nothing about networks; what a graph is comes from outside,
so that the counting runs without a device.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

Work = Callable[[Tensor], Tensor]

_WARM_UPS = 3  # runs before a capture: libraries choose kernels and take their memory in the first ones


class Graph(Protocol):
    """given, answer: tensors that stay where they are. `replay` works out one from the other."""

    given: Tensor
    answer: Tensor

    def replay(self) -> None: ...


class CudaGraph:
    """`work` captured for inputs of the size, type and device of `example`. Raises what `work` raises.

    pool: memory for what lies between the two tensors. Graphs may share one if they are never replayed at once and
    each answer is read before the next replay.
    """

    def __init__(self, work: Work, example: Tensor, pool: Any) -> None:
        self.given = example.clone()
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                work(self.given)
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        # other threads may go on using the device meanwhile
        with torch.cuda.graph(self._graph, pool=pool, capture_error_mode="thread_local"):
            self.answer = work(self.given)

    def replay(self) -> None:
        self._graph.replay()


class CudaGraphs:
    """Captures graphs that share their memory, so that a handful takes no more than the largest."""

    def __init__(self) -> None:
        self._pool: Any = None

    def __call__(self, work: Work, example: Tensor) -> CudaGraph:
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        return CudaGraph(work, example, self._pool)


class Graphs:
    """Graphs of `work` by the shape of what goes in; the ones not used for longest are let go beyond `most`.

    capture: makes one, for `work` and an example; a device's if none is given.
    """

    def __init__(self, work: Work, capture: Callable[[Work, Tensor], Graph] | None = None, most: int = 12) -> None:
        self._work, self._capture, self._most = work, capture or CudaGraphs(), most
        self._kept: OrderedDict[tuple[int, ...], Graph] = OrderedDict()

    def warm(self, example: Tensor) -> None:
        """Capture one for this shape, (B, ...), if there is none."""
        if example.shape in self._kept:
            return
        self._kept[tuple(example.shape)] = self._capture(self._work, example)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def __call__(self, x: Tensor) -> Tensor:
        """work(x), by a graph if one of at least as many of this size was captured. A tensor of the caller's own."""
        shape = self._fitting(x)
        if shape is None:
            return self._work(x)
        graph = self._kept[shape]
        self._kept.move_to_end(shape)
        graph.given[: len(x)].copy_(x, non_blocking=True)
        graph.given[len(x) :].copy_(x[-1:].expand_as(graph.given[len(x) :]))
        graph.replay()
        return graph.answer[: len(x)].clone()

    def _fitting(self, x: Tensor) -> tuple[int, ...] | None:
        """The captured shape with the fewest pictures that hold these."""
        size = tuple(x.shape[1:])
        shapes = [shape for shape in self._kept if shape[1:] == size and shape[0] >= len(x)]
        return min(shapes, default=None)
