"""The network on a device: inputs, outputs, and running out of memory."""

from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from stream.errors import EngineError
from tests.workers.models.birefnet.networks import cached_state_dict, lite, run
from workers.device.birefnet_runner import Runner
from workers.models.birefnet.network import BiRefNet

CPU = torch.device("cpu")


def random_images(batch: int, height: int = 64, width: int = 96) -> Tensor:
    """uint8 (batch, height, width, 3), all different."""
    generator = torch.Generator().manual_seed(1)
    images: Tensor = torch.randint(0, 256, (batch, height, width, 3), generator=generator, dtype=torch.uint8)
    return images


def reference(images: Tensor) -> Tensor:
    """Alpha of the plain network, with ImageNet's normalisation."""
    mean, deviation = (torch.tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return run(lite(), (images.permute(0, 3, 1, 2) / 255 - mean) / deviation).sigmoid()[:, 0]


class Loader:
    """Counts how often the network is loaded."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> BiRefNet:
        self.calls += 1
        return lite()


@pytest.fixture(scope="module")
def full_precision() -> Runner:
    return Runner(lite, CPU, torch.float32)


def test_alpha_matches_the_plain_network(full_precision: Runner) -> None:
    images = random_images(2)
    alpha = full_precision(images)
    assert alpha.dtype == torch.float32
    assert alpha.shape == (2, 64, 96)
    torch.testing.assert_close(alpha, reference(images), rtol=0, atol=1e-5)


@pytest.mark.long
def test_more_images_than_fit_in_a_pass_match_each_alone(full_precision: Runner) -> None:
    images = random_images(3)
    assert full_precision.batch == 1
    torch.testing.assert_close(
        full_precision(images), torch.cat([full_precision(image[None]) for image in images]), rtol=0, atol=1e-6
    )


@pytest.mark.long
def test_full_precision_beside_half_is_loaded_on_first_use() -> None:
    load, images = Loader(), random_images(1)
    half = Runner(load, CPU, torch.bfloat16)
    close, exact = half(images), half(images, exact=True)
    assert load.calls == 2
    half(images, exact=True)
    assert load.calls == 2
    assert not torch.equal(close, exact)
    assert (close - exact).abs().max() <= 0.02
    torch.testing.assert_close(exact, reference(images), rtol=0, atol=1e-5)


@pytest.mark.long
def test_full_precision_is_not_loaded_twice() -> None:
    load = Loader()
    Runner(load, CPU, torch.float32)(random_images(1), exact=True)
    assert load.calls == 1


class LowMemory(BiRefNet):
    """Runs out of memory in batches larger than `max_batch`."""

    max_batch = 2
    error: RuntimeError = torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 20.00 MiB")

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.max_batch:
            raise self.error
        return super().forward(x)


CUBLAS = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
CUDNN = RuntimeError("GET was unable to find an engine to execute this computation after trying 7 plans.")


@pytest.fixture(params=[LowMemory.error, *(pytest.param(each, marks=pytest.mark.slow) for each in (CUBLAS, CUDNN))])
def low_memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    monkeypatch.setattr(LowMemory, "error", request.param)
    runner = Runner(lambda: LowMemory.from_state_dict(cached_state_dict("lite")), CPU, torch.float32)
    runner.batch = 8
    yield runner
    LowMemory.max_batch = 2


@pytest.mark.slow
def test_a_batch_that_does_not_fit_is_halved_permanently(low_memory: Runner, full_precision: Runner) -> None:
    images = random_images(7, 32, 32)
    torch.testing.assert_close(low_memory(images), full_precision(images), rtol=0, atol=1e-5)
    assert low_memory.batch == 1  # after 7 and 3
    torch.testing.assert_close(low_memory(images), full_precision(images), rtol=0, atol=1e-5)


@pytest.mark.long
def test_one_image_that_does_not_fit_is_an_error_and_the_runner_continues(low_memory: Runner) -> None:
    LowMemory.max_batch = 0
    with pytest.raises(EngineError, match="one picture does not fit in the device's memory"):
        low_memory(random_images(4, 32, 32))
    LowMemory.max_batch = 2
    assert low_memory(random_images(2, 32, 32)).isfinite().all()


class Broken(BiRefNet):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("the device is gone\nand a page about it")


@pytest.mark.long
def test_other_failures_become_one_line_errors() -> None:
    runner = Runner(lambda: Broken.from_state_dict(cached_state_dict("lite")), CPU, torch.float32)
    with pytest.raises(EngineError, match=r"^birefnet: the device is gone$"):
        runner(random_images(1, 32, 32))


class Overflowing(BiRefNet):
    """The first pixels' logits overflow as in half precision."""

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        logits[:, :, 0, :3] = torch.tensor([torch.inf, -torch.inf, torch.nan])
        return logits


@pytest.mark.long
def test_nan_and_infinity_become_nan(full_precision: Runner) -> None:
    alpha = Runner(lambda: Overflowing.from_state_dict(cached_state_dict("lite")), CPU, torch.float32)(random_images(1))
    assert alpha[:, 0, :3].isnan().all()
    assert alpha.isnan().sum() == 3
    assert ((alpha >= 0) & (alpha <= 1)).sum() == alpha.numel() - 3


class OperatorRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the names of the operators that run."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.name())
        return func(*args, **(kwargs or {}))


def test_a_pass_copies_no_values_from_or_to_the_host(full_precision: Runner) -> None:
    """Either would abort the capture of a CUDA graph: reading a value back, a tensor made from Python numbers."""
    full_precision(random_images(1))
    with OperatorRecorder() as recorder:
        full_precision(random_images(1))
    assert len(recorder.names) > 30
    forbidden = ("item", "_local_scalar_dense", "nonzero", "lift_fresh", "masked_select", "is_nonzero", "equal")
    assert not {name for name in recorder.names if name.removeprefix("aten::").partition(".")[0] in forbidden}
