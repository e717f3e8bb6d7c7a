"""The runner on a CUDA device: graphs, batches, running out of memory; run by `make gpu-check`."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor

from stream.errors import EngineError
from tests.workers.device.test_birefnet_runner import random_images, reference
from tests.workers.models.birefnet.networks import cached_state_dict, lite
from workers.device.birefnet_runner import Runner
from workers.device.precision import half_precision
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
    """Removes the limit on the device's memory after the test."""
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def limit_to(more_mib: int) -> None:
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + more_mib * MIB) / total)


def of_size(batch: int) -> Tensor:
    return random_images(batch, SIZE[1], SIZE[0])


def test_alpha_matches_the_plain_network_on_the_cpu(half: Runner) -> None:
    images = of_size(2)
    error = (half(images).cpu() - reference(images)).abs()
    assert error.max() <= 0.02
    assert error.mean() <= 0.002
    torch.testing.assert_close(half(images, exact=True).cpu(), reference(images), rtol=0, atol=2e-4)


@pytest.mark.parametrize("warm", [False, True])
def test_images_of_a_batch_match_each_alone(half: Runner, warm: bool) -> None:
    if warm:
        half.warm([SIZE])
    images = of_size(7)
    together, alone = half(images), torch.cat([half(image[None]) for image in images])
    assert (together - alone).abs().max() <= 2e-3


def test_graphs_match_eager_execution(half: Runner) -> None:
    batches = [of_size(batch) for batch in (1, 2, 3, 4)]
    eager = [half(images) for images in batches]
    half.warm([SIZE])
    for _ in range(2):
        for images, expected in zip(batches, eager, strict=True):
            assert (half(images) - expected).abs().max() <= 2e-3


def test_nothing_is_captured_after_warming_up(half: Runner) -> None:
    half.warm([SIZE, (96, 64)])
    shapes = set(half._graphs._graphs)
    assert shapes == {((batch, h, w, 3),) for batch in (1, 2, 4) for w, h in (SIZE, (96, 64))}
    half(of_size(3))
    half(random_images(1, 128, 128))
    assert set(half._graphs._graphs) == shapes


def test_other_sizes_between_replays_change_nothing(half: Runner) -> None:
    half.warm([SIZE])
    images = of_size(4)
    first = half(images)
    for side in range(64, 64 + 20 * 32, 32):  # more sizes than the window cache of `swin` holds
        half(random_images(1, side, 64))
    torch.cuda.empty_cache()
    assert torch.equal(half(images), first)


class Overflowing(BiRefNet):
    """Its first feature maps overflow float16."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.dtype == torch.float32 else x * 6e4)


def test_float16_overflow_is_nan_and_full_precision_is_finite() -> None:
    runner = Runner(lambda: Overflowing.from_state_dict(cached_state_dict("lite")), CUDA, torch.float16)
    images = of_size(1)
    assert runner(images).isnan().any()
    exact = runner(images, exact=True)
    assert exact.isfinite().all()
    torch.testing.assert_close(exact.cpu(), reference(images), rtol=0, atol=2e-4)


def test_a_batch_that_does_not_fit_is_halved(half: Runner, memory: None) -> None:
    images = random_images(32, 512, 512)
    alone = half(images[:1])
    half.batch = 32
    limit_to(more_mib=512)
    alphas = half(images)
    assert 1 <= half.batch < 32
    assert alphas.isfinite().all()
    assert (alphas[:1] - alone).abs().max() <= 2e-3


def test_one_image_that_does_not_fit_is_an_error_and_the_process_continues(half: Runner, memory: None) -> None:
    limit_to(more_mib=8)
    with pytest.raises(EngineError, match="one picture does not fit"):
        half(random_images(1, 1024, 1024))
    torch.cuda.set_per_process_memory_fraction(1.0)
    assert half(random_images(1, 1024, 1024)).isfinite().all()


def test_a_graph_that_does_not_fit_halves_the_batch_and_others_are_captured(half: Runner, memory: None) -> None:
    images = random_images(2, 512, 512)
    expected = half(images)
    half.batch = 32
    limit_to(more_mib=1024)
    half.warm([(512, 512)], batches=(32, 1))
    assert half.batch == 16
    assert set(half._graphs._graphs) == {((1, 512, 512, 3),)}
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    torch.cuda.set_per_process_memory_fraction(1.0)
    assert (half(images) - expected).abs().max() <= 2e-3
    half.warm([SIZE])
    assert half(of_size(2)).isfinite().all()


def test_runners_may_be_warmed_in_several_threads_at_once(half: Runner) -> None:
    """While a third one runs."""
    runners, images = [half, Runner(lite, CUDA, half_precision(CUDA))], of_size(2)
    expected = half(images)

    def warm_and_run(runner: Runner) -> Tensor:
        runner.warm([SIZE])
        return runner(images)

    with ThreadPoolExecutor(3) as threads:
        running = threads.submit(Runner(lite, CUDA, half_precision(CUDA)), images)
        for alpha in [*threads.map(warm_and_run, runners), running.result()]:
            assert (alpha - expected).abs().max() <= 2e-3
