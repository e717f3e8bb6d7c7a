"""Flow on a device, against shifts that are known. On torch's CPU device here; marked `gpu` for CUDA."""

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor

from stream.picture.frames import Frame
from tests.workers.scenes import clip
from tests.workers.steady.test_motion import moved
from workers.steady import motion
from workers.steady.motion_torch import REACH, brought, carry, flow, is_cut, mean

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
INNER = slice(REACH, -REACH)  # what came from outside the picture cannot be found


@pytest.fixture(scope="module")
def here() -> motion.SmallPicture:
    return motion.look(frame())


def frame(x: float = 300.0, room: int = 1) -> Frame:
    return clip(lambda n: [x], 1, room=room).frames[0]


def on(device: str, small: motion.SmallPicture) -> Tensor:
    planes: Tensor = torch.from_numpy(small.colour.transpose(2, 0, 1).copy())[None].to(device)
    return planes


SHIFTS = [(0.5, 0.0), (1.0, 0.5), (3.0, 0.0), (-5.0, 2.0), (0.0, 1.5), (6.0, 0.0), (0.0, 6.0), (-6.0, -6.0), (16.0, 0)]


@pytest.mark.parametrize("device", DEVICES)
def test_the_flow_is_within_half_a_cell_of_where_things_went(here: motion.SmallPicture, device: str) -> None:
    """Mean over the picture. Measured: 0.07 to 0.42; 0.02 to 0.21 by DIS."""
    near = torch.cat([on(device, here)] * len(SHIFTS))
    far = torch.cat([on(device, moved(here, *shift)) for shift in SHIFTS])
    truth = torch.tensor(SHIFTS, device=device)[:, :, None, None]
    errors = (flow(near, far) - truth).norm(dim=1)[:, INNER, INNER].mean((1, 2))
    assert errors.max() < 0.5


@pytest.mark.parametrize("device", DEVICES)
def test_what_stands_still_is_brought_as_it_is(here: motion.SmallPicture, device: str) -> None:
    memory = torch.cat([on(device, here), torch.rand(1, 6, 144, 256, device=device)], 1)
    out, unlike = brought(memory, on(device, here))
    assert torch.equal(out, memory)
    assert not unlike.any()


@pytest.mark.parametrize("device", DEVICES)
def test_all_that_is_remembered_moves_with_the_picture(here: motion.SmallPicture, device: str) -> None:
    there = on(device, moved(here, 6.0, 0.0))
    memory = torch.cat([there, there / 255], 1)
    brought_all, unlike = brought(memory, on(device, here))
    out = brought_all[..., INNER, INNER]
    torch.testing.assert_close(out[:, :3] / 255, out[:, 3:], rtol=0, atol=1e-4)
    wanted, unmoved = on(device, here)[..., INNER, INNER], there[..., INNER, INNER]
    assert (out[:, :3] - wanted).abs().mean() < 0.3 * (unmoved - wanted).abs().mean()
    torch.testing.assert_close(unlike[:, 0, INNER, INNER], (out[:, :3] - wanted).abs().sum(1))


@pytest.mark.parametrize("device", DEVICES)
def test_carrying_is_opencvs(here: motion.SmallPicture, device: str) -> None:
    flow_there = np.random.default_rng(3).normal(0, 4, (144, 256, 2)).astype(np.float32)
    shifted = carry(on(device, here), torch.from_numpy(flow_there.transpose(2, 0, 1).copy())[None].to(device))
    wanted = motion.carry(here.colour, flow_there)
    np.testing.assert_allclose(shifted[0].permute(1, 2, 0).cpu().numpy(), wanted, atol=2.0)  # remap: 1/32 of a pixel


@pytest.mark.parametrize("device", DEVICES)
def test_another_scene_is_a_cut_in_the_video_that_has_it(here: motion.SmallPicture, device: str) -> None:
    lasts = torch.cat([on(device, motion.look(frame(120.0, room=2))), on(device, moved(here, 6.0, 0.0))])
    nows = torch.cat([on(device, here)] * 2)
    assert is_cut(nows, brought(lasts, nows)[1]).tolist() == [True, False]
    black = torch.zeros_like(nows)
    assert not is_cut(black, brought(black, black)[1]).any()


def test_a_mean_is_over_what_lies_inside() -> None:
    plane = torch.arange(20.0).reshape(1, 1, 4, 5)
    assert mean(plane, 3)[0, 0, 0, 0] == pytest.approx((0 + 1 + 5 + 6) / 4)
    wanted = cv2.blur(plane[0, 0].numpy(), (3, 3))[1:-1, 1:-1]
    np.testing.assert_allclose(mean(plane, 3)[0, 0, 1:-1, 1:-1].numpy(), wanted, rtol=1e-6)
