"""Steadying on a CUDA device against torch on the CPU; run by `make gpu-check`, and so without OpenCV and FFmpeg."""

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor
from torch.nn.functional import interpolate

from stream.session import Temporal
from workers.motion_torch import flow
from workers.smooth_torch import State, Steady, step
from workers.tuning import Tuning, choose

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def texture(height: int, width: int) -> Tensor:
    """float32 (1, 3, height, width), 30-220, smooth enough to be followed."""
    drawn = torch.rand(1, 3, height // 12, width // 12, generator=torch.Generator().manual_seed(7))
    return 30 + 190 * interpolate(drawn, (height, width), mode="bicubic").clamp(0, 1)


def frames(count: int) -> list[tuple[Tensor, Tensor]]:
    """I420 pictures (2, 540, 640) that move by 4 and 10 pixels a frame, and noisy mattes of a disc that moves along."""
    room, noise = texture(360, 1280), torch.Generator().manual_seed(8)
    y, x = torch.meshgrid(torch.arange(144.0), torch.arange(256.0), indexing="ij")
    made = []
    for n in range(count):
        pictures, alphas = [], []
        for speed in (4, 10):
            view = room[0, :, :, n * speed : n * speed + 640].round().to(torch.uint8)
            chroma = view[1:, ::2, ::2].reshape(180, 640)
            pictures.append(torch.cat([view[0], chroma]))
            inside = (torch.hypot(x - 128 + n * speed * 0.4, y - 72) - 40).neg().clamp(0, 1)
            alphas.append((inside + 0.2 * torch.randn(144, 256, generator=noise)).clamp(0, 1))
        made.append((torch.stack(pictures), torch.stack(alphas)))
    return made


def tuned(engine: str) -> Tuning:
    tuning = choose(Temporal.LIVE, 0.7, engine, live=True)
    assert tuning is not None
    return tuning


def steadied(device: str, engine: str) -> list[Tensor]:
    state: State | None = None
    out = []
    for n, (pixels, raw) in enumerate(frames(8)):
        state, alpha = step(state, pixels.to(device), raw.to(device), (n / 30,) * 2, tuned(engine))
        out.append(alpha.cpu())
    return out


@pytest.mark.parametrize("engine", ["selfie", "birefnet"])
def test_alphas_are_those_of_the_cpu(engine: str) -> None:
    """But where two shifts fit alike and rounding decides."""
    for one, other in zip(steadied("cuda", engine), steadied("cpu", engine), strict=True):
        assert (one - other).abs().mean() < 1e-3


@pytest.mark.parametrize("engine", ["selfie", "birefnet"])
def test_a_graph_gives_what_the_steps_give(engine: str) -> None:
    given = [(pixels.cuda(), raw.cuda()) for pixels, raw in frames(8)]
    steady = Steady(*given[0], tuned(engine))
    for n, (wanted, (pixels, raw)) in enumerate(zip(steadied("cuda", engine), given, strict=True)):
        assert (steady(pixels, raw, (n / 30,) * 2).cpu() - wanted).abs().max() < 1e-3


def test_the_flow_finds_shifts() -> None:
    room = texture(144, 300).cuda()
    for x in (1, 3, 6):
        found = flow(room[..., 20:276], room[..., 20 - x : 276 - x])[0, :, 20:-20, 20:-20]
        assert torch.hypot(found[0] - x, found[1]).mean() < 0.5
