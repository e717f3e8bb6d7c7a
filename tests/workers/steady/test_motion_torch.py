"""Flow on a device against known shifts. On torch's CPU device by default; on CUDA for tests marked `gpu`."""

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor

from stream.picture.frames import Frame
from tests.workers.smoothing_clips import clip
from tests.workers.steady.test_motion import shifted
from workers.steady import motion
from workers.steady.motion_torch import MAX_MOTION, box_mean, flow, is_cut, motion_compensated, warp

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
INNER = slice(MAX_MOTION, -MAX_MOTION)  # motion from outside the picture cannot be estimated


@pytest.fixture(scope="module")
def current() -> motion.Thumbnail:
    return motion.thumbnail(frame())


def frame(x: float = 300.0, room: int = 1) -> Frame:
    return clip(lambda n: [x], 1, room=room).frames[0]


def on(device: str, small: motion.Thumbnail) -> Tensor:
    planes: Tensor = torch.from_numpy(small.colour.transpose(2, 0, 1).astype(np.float32))[None].to(device)
    return planes


SHIFTS = [(0.5, 0.0), (1.0, 0.5), (3.0, 0.0), (-5.0, 2.0), (0.0, 1.5), (6.0, 0.0), (0.0, 6.0), (-6.0, -6.0), (16.0, 0)]


@pytest.mark.long
@pytest.mark.parametrize("device", DEVICES)
def test_the_flow_is_within_half_a_cell_of_a_shift(current: motion.Thumbnail, device: str) -> None:
    """Mean over the picture. Measured: 0.07 to 0.42; 0.02 to 0.21 by DIS."""
    near = torch.cat([on(device, current)] * len(SHIFTS))
    far = torch.cat([on(device, shifted(current, *shift)) for shift in SHIFTS])
    truth = torch.tensor(SHIFTS, device=device)[:, :, None, None]
    errors = (flow(near, far) - truth).norm(dim=1)[:, INNER, INNER].mean((1, 2))
    assert errors.max() < 0.5


@pytest.mark.parametrize("device", DEVICES)
def test_memory_of_a_still_picture_is_not_moved(current: motion.Thumbnail, device: str) -> None:
    memory = torch.cat([on(device, current), torch.rand(1, 6, 144, 256, device=device)], 1)
    out, residual = motion_compensated(memory, on(device, current))
    assert torch.equal(out, memory)
    assert not residual.any()


@pytest.mark.parametrize("device", DEVICES)
def test_all_of_memory_moves_with_the_picture(current: motion.Thumbnail, device: str) -> None:
    reference = on(device, shifted(current, 6.0, 0.0))
    memory = torch.cat([reference, reference / 255], 1)
    compensated, residual = motion_compensated(memory, on(device, current))
    out = compensated[..., INNER, INNER]
    torch.testing.assert_close(out[:, :3] / 255, out[:, 3:], rtol=0, atol=1e-4)
    expected, unmoved = on(device, current)[..., INNER, INNER], reference[..., INNER, INNER]
    assert (out[:, :3] - expected).abs().mean() < 0.3 * (unmoved - expected).abs().mean()
    torch.testing.assert_close(residual[:, 0, INNER, INNER], (out[:, :3] - expected).abs().sum(1))


@pytest.mark.parametrize("device", DEVICES)
def test_warping_matches_opencv(current: motion.Thumbnail, device: str) -> None:
    random_flow = np.random.default_rng(3).normal(0, 4, (144, 256, 2)).astype(np.float32)
    warped = warp(on(device, current), torch.from_numpy(random_flow.transpose(2, 0, 1).copy())[None].to(device))
    expected = motion.warp(current.colour, random_flow)
    np.testing.assert_allclose(warped[0].permute(1, 2, 0).cpu().numpy(), expected, atol=2.0)  # remap: 1/32 of a pixel


@pytest.mark.long
@pytest.mark.parametrize("device", DEVICES)
def test_a_cut_is_found_in_its_own_video_only(current: motion.Thumbnail, device: str) -> None:
    previous = torch.cat([on(device, motion.thumbnail(frame(120.0, room=2))), on(device, shifted(current, 6.0, 0.0))])
    pictures = torch.cat([on(device, current)] * 2)
    assert is_cut(pictures, motion_compensated(previous, pictures)[1]).tolist() == [True, False]
    black = torch.zeros_like(pictures)
    assert not is_cut(black, motion_compensated(black, black)[1]).any()


def test_a_box_mean_ignores_pixels_outside() -> None:
    plane = torch.arange(20.0).reshape(1, 1, 4, 5)
    assert box_mean(plane, 3)[0, 0, 0, 0] == pytest.approx((0 + 1 + 5 + 6) / 4)
    expected = cv2.blur(plane[0, 0].numpy(), (3, 3))[1:-1, 1:-1]
    np.testing.assert_allclose(box_mean(plane, 3)[0, 0, 1:-1, 1:-1].numpy(), expected, rtol=1e-6)
