"""The runner on a CUDA device: graphs, batches, memory that runs out; run by `make gpu-check`."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor

from stream.errors import EngineError
from tests.workers.device.test_runner import by_hand, pictures
from tests.workers.models.birefnet.networks import cached_state_dict, lite
from workers.device.runner import Runner, half_precision
from workers.models.birefnet.network import BiRefNet

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

CUDA = torch.device("cuda")
SIZE = (320, 256)
MIB = 1 << 20


@pytest.fixture
def half() -> Runner:
    return Runner(lite, CUDA, half_precision(CUDA))


@pytest.fixture
def memory() -> Iterator[None]:
    """The device's memory may be limited in the test."""
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def limit_to(more_mib: int) -> None:
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + more_mib * MIB) / total)


def of_size(batch: int) -> Tensor:
    return pictures(batch, SIZE[1], SIZE[0])


def test_alpha_is_that_of_the_plain_network_on_the_cpu(half: Runner) -> None:
    given = of_size(2)
    error = (half(given).cpu() - by_hand(given)).abs()
    assert error.max() <= 0.02
    assert error.mean() <= 0.002
    torch.testing.assert_close(half(given, exact=True).cpu(), by_hand(given), rtol=0, atol=2e-4)


@pytest.mark.parametrize("warm", [False, True])
def test_pictures_of_a_batch_are_as_each_alone(half: Runner, warm: bool) -> None:
    if warm:
        half.warm([SIZE])
    given = of_size(7)
    together, alone = half(given), torch.cat([half(one[None]) for one in given])
    assert (together - alone).abs().max() <= 2e-3


def test_graphs_give_what_the_same_steps_give_without(half: Runner) -> None:
    given = [of_size(batch) for batch in (1, 2, 3, 4)]
    eager = [half(each) for each in given]
    half.warm([SIZE])
    for _ in range(2):
        for each, wanted in zip(given, eager, strict=True):
            assert (half(each) - wanted).abs().max() <= 2e-3


def test_warm_requests_replay_and_nothing_new_is_captured_in_them(half: Runner) -> None:
    half.warm([SIZE, (96, 64)])
    shapes = set(half._graphs._kept)
    assert shapes == {((batch, h, w, 3),) for batch in (1, 2, 4) for w, h in (SIZE, (96, 64))}
    half(of_size(3))
    half(pictures(1, 128, 128))
    assert set(half._graphs._kept) == shapes


def test_other_sizes_between_replays_do_no_harm(half: Runner) -> None:
    half.warm([SIZE])
    given = of_size(4)
    first = half(given)
    for side in range(64, 64 + 20 * 32, 32):  # more than the windows of how many sizes are kept
        half(pictures(1, side, 64))
    torch.cuda.empty_cache()
    assert torch.equal(half(given), first)


class Overflowing(BiRefNet):
    """In float16 its first maps are beyond what that holds."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.dtype == torch.float32 else x * 6e4)


def test_what_float16_cannot_hold_is_no_number_and_full_precision_has_it() -> None:
    runner = Runner(lambda: Overflowing.from_state_dict(cached_state_dict("lite")), CUDA, torch.float16)
    given = of_size(1)
    assert runner(given).isnan().any()
    exact = runner(given, exact=True)
    assert exact.isfinite().all()
    torch.testing.assert_close(exact.cpu(), by_hand(given), rtol=0, atol=2e-4)


def test_a_batch_that_does_not_fit_is_halved(half: Runner, memory: None) -> None:
    given = pictures(32, 512, 512)
    alone = half(given[:1])
    half.batch = 32
    limit_to(more_mib=512)
    alphas = half(given)
    assert 1 <= half.batch < 32
    assert alphas.isfinite().all()
    assert (alphas[:1] - alone).abs().max() <= 2e-3


def test_one_picture_that_does_not_fit_is_an_error_and_the_process_lives_on(half: Runner, memory: None) -> None:
    limit_to(more_mib=8)
    with pytest.raises(EngineError, match="one picture does not fit"):
        half(pictures(1, 1024, 1024))
    torch.cuda.set_per_process_memory_fraction(1.0)
    assert half(pictures(1, 1024, 1024)).isfinite().all()


def test_where_a_graph_does_not_fit_batches_are_smaller_and_others_are_captured(half: Runner, memory: None) -> None:
    given = pictures(2, 512, 512)
    wanted = half(given)
    half.batch = 32
    limit_to(more_mib=1024)
    half.warm([(512, 512)], batches=(32, 1))
    assert half.batch == 16
    assert set(half._graphs._kept) == {((1, 512, 512, 3),)}
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    torch.cuda.set_per_process_memory_fraction(1.0)
    assert (half(given) - wanted).abs().max() <= 2e-3
    half.warm([SIZE])
    assert half(of_size(2)).isfinite().all()


def test_engines_may_be_warmed_in_several_threads_at_once(half: Runner) -> None:
    """While a third is at work."""
    runners, given = [half, Runner(lite, CUDA, half_precision(CUDA))], of_size(2)
    wanted = half(given)

    def warmed(runner: Runner) -> Tensor:
        runner.warm([SIZE])
        return runner(given)

    with ThreadPoolExecutor(3) as threads:
        busy = threads.submit(Runner(lite, CUDA, half_precision(CUDA)), given)
        for answer in [*threads.map(warmed, runners), busy.result()]:
            assert (answer - wanted).abs().max() <= 2e-3
