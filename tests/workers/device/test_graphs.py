"""Which graph serves which inputs, with CPU graphs that write their outputs in place, as CUDA graphs do."""

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor

from workers.device.graphs import Graphs, Tensors, Work


class CpuGraph:
    """Calls `work` on static buffers, on the CPU."""

    def __init__(self, work: Work, examples: Tensors) -> None:
        self.work, self.inputs = work, tuple(example.clone() for example in examples)
        self.outputs = work(*examples)
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        for buffer, output in zip(self.outputs, self.work(*self.inputs), strict=True):
            buffer.copy_(output)


class CountingWork:
    """Doubles each value. Records the batches that it ran and the graphs captured of it."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.captured: list[CpuGraph] = []

    def __call__(self, x: Tensor) -> Tensors:
        self.batches.append(len(x))
        return (2 * x,)

    def capture(self, work: Work, examples: Tensors) -> CpuGraph:
        self.captured.append(CpuGraph(work, examples))
        return self.captured[-1]


def zeros(batch: int, size: int = 3) -> Tensor:
    return random(batch, size) * 0


def random(batch: int, size: int = 3) -> Tensor:
    values: Tensor = torch.randn(batch, size, size, generator=torch.Generator().manual_seed(batch))
    return values


def test_without_a_graph_the_work_is_called() -> None:
    work = CountingWork()
    graphs, x = Graphs(work, work.capture), random(2)
    assert torch.equal(graphs(x)[0], 2 * x)
    assert not work.captured


def test_only_warm_captures_and_only_once_per_shape() -> None:
    work = CountingWork()
    graphs = Graphs(work, work.capture)
    for batch in (1, 2, 1):
        graphs.warm(zeros(batch))
    assert [len(g.inputs[0]) for g in work.captured] == [1, 2]
    graphs(random(2))
    assert [g.replays for g in work.captured] == [0, 1]


@pytest.mark.parametrize(("batch", "runs"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 5)])
def test_a_batch_is_rounded_up_to_a_captured_one(batch: int, runs: int) -> None:
    work = CountingWork()
    graphs = Graphs(work, work.capture)
    for captured in (4, 1, 2):
        graphs.warm(zeros(captured))
    x = random(batch)
    assert torch.equal(graphs(x)[0], 2 * x)
    assert work.batches[-1] == runs


def test_a_batch_is_padded_with_its_last_item_not_with_old_data() -> None:
    work = CountingWork()
    graphs = Graphs(work, work.capture)
    graphs.warm(zeros(4))
    graphs(random(4) * torch.inf)
    x = random(2)
    assert torch.equal(graphs(x)[0], 2 * x)
    assert torch.equal(work.captured[0].inputs[0], x[[0, 1, 1, 1]])


def test_another_size_has_no_graph() -> None:
    work = CountingWork()
    graphs = Graphs(work, work.capture)
    graphs.warm(zeros(4))
    x = random(2, size=5)
    assert torch.equal(graphs(x)[0], 2 * x)
    assert work.batches[-1] == 2


def test_an_output_is_unchanged_when_the_graph_runs_again() -> None:
    work = CountingWork()
    graphs = Graphs(work, work.capture)
    graphs.warm(zeros(1))
    (first,) = graphs(torch.ones(1, 3, 3))
    graphs(torch.zeros(1, 3, 3))
    assert torch.equal(first, torch.full((1, 3, 3), 2.0))


def test_the_least_recently_used_graph_is_dropped() -> None:
    work = CountingWork()
    graphs = Graphs(work, work.capture, max_graphs=2)
    graphs.warm(zeros(1, size=3))
    graphs.warm(zeros(1, size=4))
    graphs(random(1, size=3))
    graphs.warm(zeros(1, size=5))
    replays = []
    for size in (3, 4, 5):
        x = random(1, size=size)
        assert torch.equal(graphs(x)[0], 2 * x)
        replays.append([g.replays for g in work.captured])
    assert replays == [[2, 0, 0], [2, 0, 0], [2, 0, 1]]


def test_a_capture_that_fails_leaves_nothing_behind() -> None:
    def fail(work: Work, examples: Tensors) -> CpuGraph:
        raise torch.OutOfMemoryError("CUDA out of memory")

    work = CountingWork()
    graphs = Graphs(work, fail)
    with pytest.raises(torch.OutOfMemoryError):
        graphs.warm(zeros(2))
    assert torch.equal(graphs(random(2))[0], 2 * random(2))


def test_several_inputs_and_outputs_of_different_shapes() -> None:
    def work(images: Tensor, weights: Tensor) -> Tensors:
        return images * weights[:, None, None], weights + 1

    graphs = Graphs(work, CpuGraph)
    graphs.warm(zeros(4), torch.zeros(4))
    images, weights = random(3), torch.tensor([1.0, 2.0, 3.0])
    for output, expected in zip(graphs(images, weights), work(images, weights), strict=True):
        assert torch.equal(output, expected)
    (graph,) = graphs._graphs.values()
    assert graph.replays == 1  # type: ignore[attr-defined]
    assert torch.equal(graphs(random(2, size=4), weights[:2])[1], weights[:2] + 1)
    assert graph.replays == 1  # type: ignore[attr-defined]
