"""`refine.foreground` for frames that are already on a device, many at once."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from stream.picture.frames import Plane
from workers.edges.foreground import LITTLE, NARROW, WIDE, grid, window


@torch.inference_mode()
def estimate(pixels: Plane, alpha: Tensor) -> Plane:
    """As `refine.estimate`: one frame of this machine's memory, on the device where its alpha, (h, w), lies."""
    size = (pixels.shape[0] * 2 // 3, pixels.shape[1])
    full = interpolate(alpha[None, None], size, mode="bilinear")[0]
    colours: Plane = foreground(torch.from_numpy(pixels).to(alpha.device)[None], full)[0].cpu().numpy()
    return colours


def foreground(pixels: Tensor, alpha: Tensor) -> Tensor:
    """The subject's colours of each frame, as new I420 pictures; the frame's own where alpha is 1.

    pixels: I420 uint8 (B, H*3/2, W). alpha: float32 (B, H, W), 0-1, beside them. Within 1 level of
    `refine.foreground` where alpha is above 0.
    """
    count, height, width = alpha.shape
    luma, chroma = pixels.flatten(1).tensor_split([height * width], dim=1)
    weight = alpha[:, None].float()
    planes = [luma.reshape(count, 1, height, width), chroma.reshape(count, 2, height // 2, width // 2)]
    colours = [
        _colours(plane.float(), share, grid(height, width))
        for plane, share in zip(planes, (weight, avg_pool2d(weight, 2)), strict=True)
    ]
    levels = [colour.round().clamp(0, 255).to(torch.uint8).flatten(1) for colour in colours]
    return torch.cat(levels, 1).reshape(pixels.shape)


def _colours(picture: Tensor, alpha: Tensor, size: tuple[int, int]) -> Tensor:
    """float32 (B, C, h, w) of planes (B, C, h, w) and their alpha (B, 1, h, w)."""
    subject, behind = _wide(picture, alpha, size)
    side = window(NARROW, *picture.shape[-2:])
    moved = _moved(picture, alpha, subject, behind)
    sums = _sums(moved * alpha, side) + LITTLE * moved
    return _moved(picture, alpha, sums / (_sums(alpha, side) + LITTLE), behind)


def _wide(picture: Tensor, alpha: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    small, share, weighed = (interpolate(plane, size, mode="area") for plane in (picture, alpha, picture * alpha))
    pairs = (weighed, share), (small - weighed, 1 - share)
    side = window(WIDE, *size)
    averages = [(_sums(c, side) + LITTLE * small) / (_sums(w, side) + LITTLE) for c, w in pairs]
    subject, behind = (interpolate(plane, picture.shape[-2:], mode="bilinear") for plane in averages)
    return subject, behind


def _moved(picture: Tensor, alpha: Tensor, subject: Tensor, behind: Tensor) -> Tensor:
    return subject + alpha * (picture - behind - alpha * (subject - behind))


def _sums(plane: Tensor, side: int) -> Tensor:
    """Over a window around each pixel, rows and columns in turn. Windows are short: running sums would pay from about
    91 pixels on, and lose digits."""
    half = side // 2
    rows = avg_pool2d(plane, (side, 1), 1, (half, 0), divisor_override=1)
    return avg_pool2d(rows, (1, side), 1, (0, half), divisor_override=1)
