"""CUDA graphs of a function of tensors, captured per input shape: a replay launches hundreds of kernels at once.

All inputs and outputs share their first dimension, the batch. A graph has static buffers for them. A batch is padded
with its last item to the next larger captured batch. Knows nothing about networks. The kind of graph is a parameter,
so that the bookkeeping can be tested without a device.
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

_WARM_UPS = 3  # runs before a capture: libraries choose kernels and allocate memory in the first ones
_capture_lock = threading.Lock()  # torch allows one capture at a time in a process


class Graph(Protocol):
    """inputs, outputs: static buffers. `replay` computes the outputs from the inputs."""

    inputs: Tensors
    outputs: Tensors

    def replay(self) -> None: ...


def release() -> None:
    """Return unused cached memory to the device; torch does not allow it during a capture."""
    with _capture_lock:
        torch.cuda.empty_cache()


class CudaGraph:
    """`work` captured for inputs with the shapes, dtypes and device of `examples`. Raises what `work` raises.

    stream: for the warm-up runs and the capture; libraries allocate workspaces per stream. pool: memory for
    intermediate tensors. Graphs may share both if they are never replayed concurrently.
    """

    def __init__(self, work: Work, examples: Tensors, stream: torch.cuda.Stream, pool: Any) -> None:
        self.inputs = tuple(example.clone() for example in examples)
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                work(*self.inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        # The outer `with` restores this stream if a capture fails. "thread_local": other threads may use the device.
        capture = torch.cuda.graph(self._graph, pool=pool, stream=stream, capture_error_mode="thread_local")
        with _capture_lock, torch.cuda.stream(torch.cuda.current_stream()), capture:
            self.outputs = work(*self.inputs)

    def replay(self) -> None:
        self._graph.replay()


class CudaGraphs:
    """Captures graphs that share their memory, so that several need no more than the largest."""

    def __init__(self) -> None:
        self._shared: tuple[torch.cuda.Stream, Any] | None = None

    def __call__(self, work: Work, examples: Tensors) -> CudaGraph:
        if self._shared is None:
            self._shared = torch.cuda.Stream(), torch.cuda.graph_pool_handle()  # type: ignore[no-untyped-call]
        return CudaGraph(work, examples, *self._shared)


class Graphs:
    """Graphs of `work` by input shapes. Beyond `max_graphs` the least recently used is dropped.

    capture: makes a graph from `work` and example inputs; a CUDA graph by default.
    """

    def __init__(
        self, work: Work, capture: Callable[[Work, Tensors], Graph] | None = None, max_graphs: int = 12
    ) -> None:
        self._work, self._capture, self._max_graphs = work, capture or CudaGraphs(), max_graphs
        self._graphs: OrderedDict[Shapes, Graph] = OrderedDict()

    def warm(self, *examples: Tensor) -> None:
        """Capture a graph for these shapes, (B, ...) each, if there is none."""
        shapes = _shapes(examples)
        if shapes in self._graphs:
            return
        self._graphs[shapes] = self._capture(self._work, examples)
        while len(self._graphs) > self._max_graphs:
            self._graphs.popitem(last=False)

    def __call__(self, *inputs: Tensor) -> Tensors:
        """work(*inputs), by a graph if one was captured for this size and at least this batch. Returns new tensors.

        With a graph, the inputs may be in host memory.
        """
        shapes = self._smallest_fitting(inputs)
        if shapes is None:
            return self._work(*inputs)
        graph = self._graphs[shapes]
        self._graphs.move_to_end(shapes)
        count = len(inputs[0])
        for buffer, x in zip(graph.inputs, inputs, strict=True):
            buffer[:count].copy_(x, non_blocking=True)
            if count < len(buffer):
                buffer[count:].copy_(buffer[count - 1 : count].expand_as(buffer[count:]))
        graph.replay()
        return tuple(output[:count].clone() for output in graph.outputs)

    def _smallest_fitting(self, inputs: Tensors) -> Shapes | None:
        """The captured shapes of this size with the smallest batch that holds the inputs."""
        sizes = [shape[1:] for shape in _shapes(inputs)]
        fitting = (
            shapes
            for shapes in self._graphs
            if [shape[1:] for shape in shapes] == sizes and shapes[0][0] >= len(inputs[0])
        )
        return min(fitting, default=None)


def _shapes(tensors: Tensors) -> Shapes:
    return tuple(tuple(tensor.shape) for tensor in tensors)
