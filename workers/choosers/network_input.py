"""Frames as the square input of transformers' vision networks: resized as its processors do, normalised on the device.

Its own processors need torchvision, which is not installed.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from stream.picture.frames import Frame, to_av
from workers.device.tensors import Bytes


def square(frame: Frame, size: int) -> Bytes:
    """uint8 (size, size, 3), RGB: the whole picture, aspect ratio ignored; bilinear, with antialiasing."""
    pixels = torch.from_numpy(to_av(frame, "rgb24").to_ndarray()).permute(2, 0, 1)[None]
    resized = functional.interpolate(pixels, (size, size), mode="bilinear", align_corners=False, antialias=True)
    picture: Bytes = resized[0].permute(1, 2, 0).contiguous().numpy()
    return picture


def normalised(picture: Bytes, mean: Sequence[float], deviation: Sequence[float], device: torch.device) -> Tensor:
    """float32 (1, 3, h, w) on the device, from uint8 (h, w, 3). mean, deviation: of values from 0 to 1."""
    scaled = torch.from_numpy(picture).to(device).permute(2, 0, 1)[None].float() / 255
    shape = (1, 3, 1, 1)
    return (scaled - torch.tensor(mean, device=device).view(shape)) / torch.tensor(deviation, device=device).view(shape)
