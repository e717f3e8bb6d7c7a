"""`composite.blend` for pictures that are already on a device, so that only the finished frame is downloaded.

torch is imported when a function is called, not with this module.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch  # type: ignore[import-not-found,unused-ignore]


def blend(foreground: "torch.Tensor", background: "torch.Tensor", alpha: "torch.Tensor") -> "torch.Tensor":
    """foreground * alpha + background * (255 - alpha), over 255, rounded to nearest.

    foreground, background: uint8 I420 (..., H*3/2, W) on one device, H and W even. alpha: uint8 (..., H, W) beside
    them. Leading dimensions broadcast: many frames may share one background. Gives uint8 I420; exact at alpha 0 and
    255, within 1 level of `composite.blend` elsewhere. Raises ValueError when the sizes do not fit.
    """
    import torch

    height, width = alpha.shape[-2:]
    if height % 2 or width % 2 or not foreground.shape[-2:] == background.shape[-2:] == (height * 3 // 2, width):
        pictures = f"{tuple(foreground.shape)} and {tuple(background.shape)}"
        raise ValueError(f"alpha is {tuple(alpha.shape)}, pictures are {pictures}")
    weight = _for_all_planes(alpha)
    # bg + (fg - bg) * a / 255: one product; int32 because it reaches 65,025, which float16 and int16 do not hold
    lift = (foreground.to(torch.int32) - background) * weight
    return (background + torch.div(lift + 127, 255, rounding_mode="floor")).to(torch.uint8)


def _for_all_planes(alpha: "torch.Tensor") -> "torch.Tensor":
    """uint8 (..., H, W) in the layout of I420: chroma gets the mean of its four pixels, rounded as OpenCV does."""
    import torch

    *batch, height, width = alpha.shape
    blocks = alpha.reshape(*batch, height // 2, 2, width // 2, 2)
    mean = (blocks.sum((-3, -1), dtype=torch.int32) + 2).div(4, rounding_mode="floor").flatten(-2)
    return torch.cat([alpha.flatten(-2).to(torch.int32), mean, mean], -1).reshape(*batch, height * 3 // 2, width)
