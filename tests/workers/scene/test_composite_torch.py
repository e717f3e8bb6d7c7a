"""The device's blend against the one that the CPU runs. On torch's CPU device here; marked `gpu` for CUDA."""

import numpy as np
import pytest

from stream.picture.frames import Plane
from workers.scene import composite, composite_torch
from workers.scene.composite import blend

torch = pytest.importorskip("torch")

CUDA = pytest.param("cuda", marks=pytest.mark.gpu)


def pictures(width: int, height: int) -> tuple[Plane, Plane, Plane]:
    rng = np.random.default_rng(width + height)
    fg, bg = rng.integers(0, 256, (2, height * 3 // 2, width), dtype=np.uint8)
    alpha = rng.integers(0, 256, (height, width), dtype=np.uint8)
    alpha[: height // 4], alpha[-(height // 4) :] = 0, 255
    return fg, bg, alpha


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize(("width", "height"), [(2, 2), (14, 6), (66, 50), (640, 360)])
def test_within_one_level_of_the_cpu(device: str, width: int, height: int) -> None:
    fg, bg, alpha = pictures(width, height)
    out = composite_torch.blend(*(torch.from_numpy(a).to(device) for a in (fg, bg, alpha)))
    assert out.dtype == torch.uint8
    difference = out.cpu().numpy().astype(int) - blend(fg, bg, alpha)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_luma_is_rounded_to_nearest(device: str) -> None:
    fg, bg, alpha = pictures(66, 50)
    out = composite_torch.blend(*(torch.from_numpy(a).to(device) for a in (fg, bg, alpha)))
    weight = alpha / 255
    assert (out[:50].cpu().numpy() == np.rint(fg[:50] * weight + bg[:50] * (1 - weight))).all()


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_exact_at_the_ends_and_where_both_agree(device: str) -> None:
    ramp = torch.arange(256, dtype=torch.uint8, device=device).repeat(6).reshape(96, 16)
    other = ramp.flip(0)
    full = torch.full((64, 16), 255, dtype=torch.uint8, device=device)
    assert torch.equal(composite_torch.blend(ramp, other, full), ramp)
    assert torch.equal(composite_torch.blend(ramp, other, full * 0), other)
    for alpha in (1, 77, 128, 254):
        assert torch.equal(composite_torch.blend(ramp, ramp, full * 0 + alpha), ramp)


def test_a_batch_shares_one_background() -> None:
    one, two = pictures(66, 50), pictures(66, 50)
    fronts = torch.stack([torch.from_numpy(one[0]), torch.from_numpy(two[0].copy()).flip(0)])
    alphas = torch.stack([torch.from_numpy(one[2]), torch.from_numpy(two[2].copy()).flip(0)])
    background = torch.from_numpy(one[1])
    out = composite_torch.blend(fronts, background, alphas)
    assert out.shape == (2, 75, 66)
    for n in range(2):
        assert torch.equal(out[n], composite_torch.blend(fronts[n], background, alphas[n]))
    assert not torch.equal(out[0], out[1])


def test_a_size_that_does_not_fit_is_refused() -> None:
    picture = torch.from_numpy(composite.flat(16, 128, 128, 16, 8))
    with pytest.raises(ValueError, match="alpha is"):
        composite_torch.blend(picture, picture, torch.zeros((8, 14), dtype=torch.uint8))
