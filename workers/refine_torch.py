"""`refine.foreground` for frames that are already on a device, many at once.

torch is imported when a function is called, not with this module.
"""

from typing import TYPE_CHECKING

from stream.frames import Plane
from workers.engines.base import Alpha
from workers.refine import LITTLE, NARROW, WIDE, grid, window

if TYPE_CHECKING:
    import torch  # type: ignore[import-not-found,unused-ignore]


def estimate(pixels: Plane, alpha: Alpha, device: str) -> Plane:
    """As `refine.estimate`: one frame of this machine's memory, by way of the device."""
    import torch
    from torch.nn.functional import interpolate

    with torch.inference_mode():
        frame, weight = (torch.from_numpy(array).to(device)[None] for array in (pixels, alpha))
        size = (pixels.shape[0] * 2 // 3, pixels.shape[1])
        full = interpolate(weight[None], size, mode="bilinear")[0]
        colours: Plane = foreground(frame, full)[0].cpu().numpy()
    return colours


def foreground(pixels: "torch.Tensor", alpha: "torch.Tensor") -> "torch.Tensor":
    """The subject's colours of each frame, as new I420 pictures; the frame's own where alpha is 1.

    pixels: I420 uint8 (B, H*3/2, W). alpha: float32 (B, H, W), 0-1, beside them. Within 1 level of
    `refine.foreground` where alpha is above 0.
    """
    import torch
    from torch.nn.functional import avg_pool2d

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


def _colours(picture: "torch.Tensor", alpha: "torch.Tensor", size: tuple[int, int]) -> "torch.Tensor":
    """float32 (B, C, h, w) of planes (B, C, h, w) and their alpha (B, 1, h, w)."""
    subject, behind = _wide(picture, alpha, size)
    side = window(NARROW, *picture.shape[-2:])
    moved = _moved(picture, alpha, subject, behind)
    sums = _sums(moved * alpha, side) + LITTLE * moved
    return _moved(picture, alpha, sums / (_sums(alpha, side) + LITTLE), behind)


def _wide(
    picture: "torch.Tensor", alpha: "torch.Tensor", size: tuple[int, int]
) -> tuple["torch.Tensor", "torch.Tensor"]:
    from torch.nn.functional import interpolate

    small, share, weighed = (interpolate(plane, size, mode="area") for plane in (picture, alpha, picture * alpha))
    pairs = (weighed, share), (small - weighed, 1 - share)
    side = window(WIDE, *size)
    averages = [(_sums(c, side) + LITTLE * small) / (_sums(w, side) + LITTLE) for c, w in pairs]
    subject, behind = (interpolate(plane, picture.shape[-2:], mode="bilinear") for plane in averages)
    return subject, behind


def _moved(
    picture: "torch.Tensor", alpha: "torch.Tensor", subject: "torch.Tensor", behind: "torch.Tensor"
) -> "torch.Tensor":
    return subject + alpha * (picture - behind - alpha * (subject - behind))


def _sums(plane: "torch.Tensor", side: int) -> "torch.Tensor":
    """Over a window around each pixel, rows and columns in turn. Windows are short: running sums would pay from about
    91 pixels on, and lose digits."""
    from torch.nn.functional import avg_pool2d

    half = side // 2
    rows = avg_pool2d(plane, (side, 1), 1, (half, 0), divisor_override=1)
    return avg_pool2d(rows, (1, side), 1, (0, half), divisor_override=1)
