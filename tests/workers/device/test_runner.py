"""The network on a device: what goes in, what comes out, and memory that runs out."""

from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from stream.errors import EngineError
from tests.workers.models.birefnet.networks import cached_state_dict, lite, run
from workers.device.runner import Runner
from workers.models.birefnet.network import BiRefNet

CPU = torch.device("cpu")


def pictures(batch: int, height: int = 64, width: int = 96) -> Tensor:
    """uint8 (batch, height, width, 3), no two alike."""
    draw = torch.Generator().manual_seed(1)
    drawn: Tensor = torch.randint(0, 256, (batch, height, width, 3), generator=draw, dtype=torch.uint8)
    return drawn


def by_hand(given: Tensor) -> Tensor:
    """Alpha of the plain network, of pictures normalised as ImageNet's are."""
    mean, deviation = (torch.tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return run(lite(), (given.permute(0, 3, 1, 2) / 255 - mean) / deviation).sigmoid()[:, 0]


class Loader:
    """Counts how often the network is loaded."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> BiRefNet:
        self.calls += 1
        return lite()


@pytest.fixture(scope="module")
def full() -> Runner:
    return Runner(lite, CPU, torch.float32)


def test_alpha_is_the_sigmoid_of_the_plain_networks_logits(full: Runner) -> None:
    given = pictures(2)
    alpha = full(given)
    assert alpha.dtype == torch.float32
    assert alpha.shape == (2, 64, 96)
    torch.testing.assert_close(alpha, by_hand(given), rtol=0, atol=1e-5)


def test_more_pictures_than_fit_in_a_pass_are_as_each_alone(full: Runner) -> None:
    given = pictures(3)
    assert full.batch == 1
    torch.testing.assert_close(full(given), torch.cat([full(one[None]) for one in given]), rtol=0, atol=1e-6)


def test_full_precision_beside_half_is_loaded_when_it_is_asked_for() -> None:
    load, given = Loader(), pictures(1)
    half = Runner(load, CPU, torch.bfloat16)
    close, exact = half(given), half(given, exact=True)
    assert load.calls == 2
    half(given, exact=True)
    assert load.calls == 2
    assert not torch.equal(close, exact)
    assert (close - exact).abs().max() <= 0.02
    torch.testing.assert_close(exact, by_hand(given), rtol=0, atol=1e-5)


def test_full_precision_is_not_loaded_twice() -> None:
    load = Loader()
    Runner(load, CPU, torch.float32)(pictures(1), exact=True)
    assert load.calls == 1


class Narrow(BiRefNet):
    """Runs out of memory where more than `most` pictures come at once."""

    most = 2
    error: RuntimeError = torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 20.00 MiB")

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.most:
            raise self.error
        return super().forward(x)


CUBLAS = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
CUDNN = RuntimeError("GET was unable to find an engine to execute this computation after trying 7 plans.")


@pytest.fixture(params=[Narrow.error, CUBLAS, CUDNN])
def narrow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    monkeypatch.setattr(Narrow, "error", request.param)
    runner = Runner(lambda: Narrow.from_state_dict(cached_state_dict("lite")), CPU, torch.float32)
    runner.batch = 8
    yield runner
    Narrow.most = 2


def test_what_does_not_fit_goes_in_halves_from_then_on(narrow: Runner, full: Runner) -> None:
    given = pictures(7, 32, 32)
    torch.testing.assert_close(narrow(given), full(given), rtol=0, atol=1e-5)
    assert narrow.batch == 1  # of 7, then of 3
    torch.testing.assert_close(narrow(given), full(given), rtol=0, atol=1e-5)


def test_one_picture_that_does_not_fit_is_an_error_and_the_runner_lives_on(narrow: Runner) -> None:
    Narrow.most = 0
    with pytest.raises(EngineError, match="one picture does not fit in the device's memory"):
        narrow(pictures(4, 32, 32))
    Narrow.most = 2
    assert narrow(pictures(2, 32, 32)).isfinite().all()


class Broken(BiRefNet):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("the device is gone\nand a page about it")


def test_other_failures_are_errors_of_one_line() -> None:
    runner = Runner(lambda: Broken.from_state_dict(cached_state_dict("lite")), CPU, torch.float32)
    with pytest.raises(EngineError, match=r"^birefnet: the device is gone$"):
        runner(pictures(1, 32, 32))


class Overflowing(BiRefNet):
    """The first pixels' logits are what half precision gives where it fails."""

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        logits[:, :, 0, :3] = torch.tensor([torch.inf, -torch.inf, torch.nan])
        return logits


def test_what_is_no_number_stays_none(full: Runner) -> None:
    alpha = Runner(lambda: Overflowing.from_state_dict(cached_state_dict("lite")), CPU, torch.float32)(pictures(1))
    assert alpha[:, 0, :3].isnan().all()
    assert alpha.isnan().sum() == 3
    assert ((alpha >= 0) & (alpha <= 1)).sum() == alpha.numel() - 3


class Watched(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down the names of the operators that run."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.name())
        return func(*args, **(kwargs or {}))


def test_a_pass_neither_waits_for_values_nor_brings_any(full: Runner) -> None:
    """Either would end the capture of a CUDA graph: reading a value back, a tensor made from numbers."""
    full(pictures(1))
    with Watched() as watched:
        full(pictures(1))
    assert len(watched.names) > 30
    forbidden = ("item", "_local_scalar_dense", "nonzero", "lift_fresh", "masked_select", "is_nonzero", "equal")
    assert not {name for name in watched.names if name.removeprefix("aten::").partition(".")[0] in forbidden}
