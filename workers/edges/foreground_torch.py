"""`foreground` for batches of frames on a device."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from stream.picture.frames import Plane
from workers.edges.foreground import EPSILON, NARROW, WIDE, grid, window


@torch.inference_mode()
def estimate(pixels: Plane, alpha: Tensor) -> Plane:
    """As `foreground.estimate`: one frame in host memory, computed on the device of its alpha, float32 (h, w), 0-1."""
    size = (pixels.shape[0] * 2 // 3, pixels.shape[1])
    full = interpolate(alpha[None, None], size, mode="bilinear")[0]
    colours: Plane = foreground(torch.from_numpy(pixels).to(alpha.device)[None], full)[0].cpu().numpy()
    return colours


def foreground(pixels: Tensor, alpha: Tensor) -> Tensor:
    """The foreground of each frame, as new I420 pictures; unchanged where alpha is 1.

    pixels: I420 uint8 (B, H*3/2, W). alpha: float32 (B, H, W), 0-1, on the same device. Within 1 level of
    `foreground.foreground` where alpha is above 0.
    """
    count, height, width = alpha.shape
    luma, chroma = pixels.flatten(1).tensor_split([height * width], dim=1)
    weight = alpha[:, None].float()
    planes = [luma.reshape(count, 1, height, width), chroma.reshape(count, 2, height // 2, width // 2)]
    colours = [
        _colours(plane.float(), plane_weight, grid(height, width))
        for plane, plane_weight in zip(planes, (weight, avg_pool2d(weight, 2)), strict=True)
    ]
    levels = [colour.round().clamp(0, 255).to(torch.uint8).flatten(1) for colour in colours]
    return torch.cat(levels, 1).reshape(pixels.shape)


def _colours(picture: Tensor, alpha: Tensor, size: tuple[int, int]) -> Tensor:
    """The foreground, float32 (B, C, h, w), of planes (B, C, h, w) and their alpha (B, 1, h, w)."""
    fore, back = _wide(picture, alpha, size)
    side = window(NARROW, *picture.shape[-2:])
    corrected = _corrected(picture, alpha, fore, back)
    sums = _sums(corrected * alpha, side) + EPSILON * corrected
    return _corrected(picture, alpha, sums / (_sums(alpha, side) + EPSILON), back)


def _wide(picture: Tensor, alpha: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    small, weight, weighted = (interpolate(plane, size, mode="area") for plane in (picture, alpha, picture * alpha))
    pairs = (weighted, weight), (small - weighted, 1 - weight)
    side = window(WIDE, *size)
    averages = [(_sums(c, side) + EPSILON * small) / (_sums(w, side) + EPSILON) for c, w in pairs]
    fore, back = (interpolate(plane, picture.shape[-2:], mode="bilinear") for plane in averages)
    return fore, back


def _corrected(picture: Tensor, alpha: Tensor, fore: Tensor, back: Tensor) -> Tensor:
    return fore + alpha * (picture - back - alpha * (fore - back))


def _sums(plane: Tensor, side: int) -> Tensor:
    """Sums over a window around each pixel, along columns and then rows. Running sums would be faster only from about
    91 pixels on, and lose precision."""
    half = side // 2
    rows = avg_pool2d(plane, (side, 1), 1, (half, 0), divisor_override=1)
    return avg_pool2d(rows, (1, side), 1, (0, half), divisor_override=1)
