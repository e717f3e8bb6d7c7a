"""A function of tensors, captured for the sizes it will see: a replay launches hundreds of kernels at once.

All its tensors, those that go in and those that come out, have a first dimension of one length: so many pictures. A
graph has fixed places in memory for them. Pictures go in as many as a graph was captured for: the next larger one, the
rest filled with their last. Knows nothing about networks; what a graph is comes from outside, so that the counting runs
without a device.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

Tensors = tuple[Tensor, ...]
Work = Callable[..., Tensors]
Shapes = tuple[tuple[int, ...], ...]

_WARM_UPS = 3  # runs before a capture: libraries choose kernels and take their memory in the first ones
_one_at_a_time = threading.Lock()  # torch can have one capture under way in a process


class Graph(Protocol):
    """given, answer: tensors that stay where they are. `replay` works out the latter from the former."""

    given: Tensors
    answer: Tensors

    def replay(self) -> None: ...


def release() -> None:
    """Give the device's memory that nothing uses back to it; torch refuses that while there is a capture."""
    with _one_at_a_time:
        torch.cuda.empty_cache()


class CudaGraph:
    """`work` captured for inputs of the sizes, types and device of `examples`. Raises what `work` raises.

    stream: it is tried and captured on: libraries keep memory of theirs for each. pool: memory for what lies between
    what goes in and what comes out. Graphs may share both if they are never replayed at once.
    """

    def __init__(self, work: Work, examples: Tensors, stream: torch.cuda.Stream, pool: Any) -> None:
        self.given = tuple(example.clone() for example in examples)
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                work(*self.given)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        # The outer `with` comes back to this stream where a capture fails; other threads may use the device meanwhile.
        capture = torch.cuda.graph(self._graph, pool=pool, stream=stream, capture_error_mode="thread_local")
        with _one_at_a_time, torch.cuda.stream(torch.cuda.current_stream()), capture:
            self.answer = work(*self.given)

    def replay(self) -> None:
        self._graph.replay()


class CudaGraphs:
    """Captures graphs that share their memory, so that a handful takes no more than the largest."""

    def __init__(self) -> None:
        self._shared: tuple[torch.cuda.Stream, Any] | None = None

    def __call__(self, work: Work, examples: Tensors) -> CudaGraph:
        if self._shared is None:
            self._shared = torch.cuda.Stream(), torch.cuda.graph_pool_handle()  # type: ignore[no-untyped-call]
        return CudaGraph(work, examples, *self._shared)


class Graphs:
    """Graphs of `work` by the shapes of what goes in; the ones not used for longest are let go beyond `most`.

    capture: makes one, for `work` and examples; a device's if none is given.
    """

    def __init__(self, work: Work, capture: Callable[[Work, Tensors], Graph] | None = None, most: int = 12) -> None:
        self._work, self._capture, self._most = work, capture or CudaGraphs(), most
        self._kept: OrderedDict[Shapes, Graph] = OrderedDict()

    def warm(self, *examples: Tensor) -> None:
        """Capture one for these shapes, (B, ...) each, if there is none."""
        shapes = _shapes(examples)
        if shapes in self._kept:
            return
        self._kept[shapes] = self._capture(self._work, examples)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def __call__(self, *given: Tensor) -> Tensors:
        """work(*given), by a graph if one of at least as many of these sizes was captured. Tensors of the caller's
        own. With a graph, what is given may lie in the host's memory."""
        shapes = self._fitting(given)
        if shapes is None:
            return self._work(*given)
        graph = self._kept[shapes]
        self._kept.move_to_end(shapes)
        count = len(given[0])
        for place, x in zip(graph.given, given, strict=True):
            place[:count].copy_(x, non_blocking=True)
            if count < len(place):
                place[count:].copy_(place[count - 1 : count].expand_as(place[count:]))
        graph.replay()
        return tuple(answer[:count].clone() for answer in graph.answer)

    def _fitting(self, given: Tensors) -> Shapes | None:
        """The captured shapes with the fewest pictures that hold these."""
        sizes = [shape[1:] for shape in _shapes(given)]
        fitting = (
            shapes
            for shapes in self._kept
            if [shape[1:] for shape in shapes] == sizes and shapes[0][0] >= len(given[0])
        )
        return min(fitting, default=None)


def _shapes(tensors: Tensors) -> Shapes:
    return tuple(tuple(tensor.shape) for tensor in tensors)
