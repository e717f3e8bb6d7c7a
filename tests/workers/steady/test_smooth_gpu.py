"""Smoothing on a CUDA device against torch on the CPU. Run by `make gpu-check`, so it needs no OpenCV and no FFmpeg."""

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor
from torch.nn.functional import interpolate

from stream.records.options import Temporal
from workers.steady.motion_torch import flow
from workers.steady.smooth_torch import DeviceSmoother, DeviceSmoothState, SmoothInput
from workers.steady.tuning import Tuning, choose

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def texture(height: int, width: int) -> Tensor:
    """float32 (1, 3, height, width), 30-220, smooth enough for optical flow."""
    coarse = torch.rand(1, 3, height // 12, width // 12, generator=torch.Generator().manual_seed(7))
    return 30 + 190 * interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


def frames(count: int) -> list[tuple[Tensor, list[Tensor]]]:
    """Thumbnails, uint8 (2, 3, 144, 256), that move by 1 and 3 cells a frame, and noisy mattes of discs that move with
    them."""
    room, noise = texture(144, 512).round().to(torch.uint8)[0], torch.Generator().manual_seed(8)
    y, x = torch.meshgrid(torch.arange(144.0), torch.arange(256.0), indexing="ij")
    made = []
    for n in range(count):
        pictures = torch.stack([room[..., n * speed : n * speed + 256] for speed in (1, 3)])
        discs = [(torch.hypot(x - 128 + n * speed, y - 72) - 40).neg().clamp(0, 1) for speed in (1, 3)]
        made.append((pictures, [(d + 0.2 * torch.randn(d.shape, generator=noise)).clamp(0, 1) for d in discs]))
    return made


def live_tuning(engine: str) -> Tuning:
    tuning = choose(Temporal.LIVE, 0.7, engine, live=True)
    assert tuning is not None
    return tuning


def steadied(device: str, engine: str, smoother: DeviceSmoother | None = None) -> list[Tensor]:
    smoother = smoother or DeviceSmoother()
    states: list[DeviceSmoothState | None] = [None] * 2
    out = []
    for n, (pictures, raw) in enumerate(frames(8)):
        inputs = [SmoothInput(picture.numpy(), n / 30, live_tuning(engine)) for picture in pictures]
        done = smoother(states, inputs, [alpha.to(device) for alpha in raw])
        states = [state for state, _ in done]
        out.append(torch.stack([alpha.cpu() for _, alpha in done]))
    return out


@pytest.mark.parametrize("engine", ["selfie", "birefnet"])
def test_alphas_match_the_cpu(engine: str) -> None:
    """Except where two shifts fit equally well and rounding decides."""
    for one, other in zip(steadied("cuda", engine), steadied("cpu", engine), strict=True):
        assert (one - other).abs().mean() < 1e-3


@pytest.mark.parametrize("engine", ["selfie", "birefnet"])
def test_graphs_match_eager_execution(engine: str) -> None:
    smoother = DeviceSmoother()
    smoother.warm(live_tuning(engine), (144, 256), torch.device("cuda"), [4, 2, 1])
    for one, expected in zip(steadied("cuda", engine, smoother), steadied("cuda", engine), strict=True):
        assert (one - expected).abs().max() < 1e-3


def test_the_flow_finds_shifts() -> None:
    room = texture(144, 300).cuda()
    for x in (1, 3, 6):
        motion = flow(room[..., 20:276], room[..., 20 - x : 276 - x])[0, :, 20:-20, 20:-20]
        assert torch.hypot(motion[0] - x, motion[1]).mean() < 0.5
