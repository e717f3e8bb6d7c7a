"""Which graph serves what, with graphs of a CPU: they write their answer in place, as those of a device do."""

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor

from workers.device.graphs import Graphs, Tensors, Work


class Recorded:
    """A graph of a CPU: `work` again, between the same tensors."""

    def __init__(self, work: Work, examples: Tensors) -> None:
        self.work, self.given = work, tuple(example.clone() for example in examples)
        self.answer = work(*examples)
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        for place, answer in zip(self.answer, self.work(*self.given), strict=True):
            place.copy_(answer)


class Counted:
    """Twice each value. Remembers the batches that it ran and the graphs made of it."""

    def __init__(self) -> None:
        self.ran: list[int] = []
        self.captured: list[Recorded] = []

    def __call__(self, x: Tensor) -> Tensors:
        self.ran.append(len(x))
        return (2 * x,)

    def capture(self, work: Work, examples: Tensors) -> Recorded:
        self.captured.append(Recorded(work, examples))
        return self.captured[-1]


def zeros(batch: int, size: int = 3) -> Tensor:
    return drawn(batch, size) * 0


def drawn(batch: int, size: int = 3) -> Tensor:
    values: Tensor = torch.randn(batch, size, size, generator=torch.Generator().manual_seed(batch))
    return values


def test_without_a_graph_the_work_itself_is_done() -> None:
    work = Counted()
    graphs, x = Graphs(work, work.capture), drawn(2)
    assert torch.equal(graphs(x)[0], 2 * x)
    assert not work.captured


def test_only_warm_captures_and_each_shape_once() -> None:
    work = Counted()
    graphs = Graphs(work, work.capture)
    for batch in (1, 2, 1):
        graphs.warm(zeros(batch))
    assert [len(g.given[0]) for g in work.captured] == [1, 2]
    graphs(drawn(2))
    assert [g.replays for g in work.captured] == [0, 1]


@pytest.mark.parametrize(("batch", "runs"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 5)])
def test_a_batch_is_rounded_up_to_a_captured_one(batch: int, runs: int) -> None:
    work = Counted()
    graphs = Graphs(work, work.capture)
    for captured in (4, 1, 2):
        graphs.warm(zeros(captured))
    x = drawn(batch)
    assert torch.equal(graphs(x)[0], 2 * x)
    assert work.ran[-1] == runs


def test_what_fills_a_batch_is_its_last_picture_and_not_an_earlier_ones() -> None:
    work = Counted()
    graphs = Graphs(work, work.capture)
    graphs.warm(zeros(4))
    graphs(drawn(4) * torch.inf)
    x = drawn(2)
    assert torch.equal(graphs(x)[0], 2 * x)
    assert torch.equal(work.captured[0].given[0], x[[0, 1, 1, 1]])


def test_another_size_has_no_graph() -> None:
    work = Counted()
    graphs = Graphs(work, work.capture)
    graphs.warm(zeros(4))
    x = drawn(2, size=5)
    assert torch.equal(graphs(x)[0], 2 * x)
    assert work.ran[-1] == 2


def test_an_answer_stays_when_the_graph_runs_again() -> None:
    work = Counted()
    graphs = Graphs(work, work.capture)
    graphs.warm(zeros(1))
    (first,) = graphs(torch.ones(1, 3, 3))
    graphs(torch.zeros(1, 3, 3))
    assert torch.equal(first, torch.full((1, 3, 3), 2.0))


def test_the_one_not_used_for_longest_is_let_go() -> None:
    work = Counted()
    graphs = Graphs(work, work.capture, most=2)
    graphs.warm(zeros(1, size=3))
    graphs.warm(zeros(1, size=4))
    graphs(drawn(1, size=3))
    graphs.warm(zeros(1, size=5))
    replays = []
    for size in (3, 4, 5):
        x = drawn(1, size=size)
        assert torch.equal(graphs(x)[0], 2 * x)
        replays.append([g.replays for g in work.captured])
    assert replays == [[2, 0, 0], [2, 0, 0], [2, 0, 1]]


def test_a_capture_that_fails_leaves_nothing_behind() -> None:
    def failing(work: Work, examples: Tensors) -> Recorded:
        raise torch.OutOfMemoryError("CUDA out of memory")

    work = Counted()
    graphs = Graphs(work, failing)
    with pytest.raises(torch.OutOfMemoryError):
        graphs.warm(zeros(2))
    assert torch.equal(graphs(drawn(2))[0], 2 * drawn(2))


def test_several_tensors_go_in_and_come_out_and_each_has_its_size() -> None:
    def work(pictures: Tensor, weights: Tensor) -> Tensors:
        return pictures * weights[:, None, None], weights + 1

    graphs = Graphs(work, Recorded)
    graphs.warm(zeros(4), torch.zeros(4))
    pictures, weights = drawn(3), torch.tensor([1.0, 2.0, 3.0])
    for one, wanted in zip(graphs(pictures, weights), work(pictures, weights), strict=True):
        assert torch.equal(one, wanted)
    (kept,) = graphs._kept.values()
    assert kept.replays == 1  # type: ignore[attr-defined]
    assert torch.equal(graphs(drawn(2, size=4), weights[:2])[1], weights[:2] + 1)
    assert kept.replays == 1  # type: ignore[attr-defined]
