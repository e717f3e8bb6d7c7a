"""The preprocessing of transformers' networks, against the published formula, computed independently in float64."""

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch")

from stream.picture.frames import Frame, to_av
from workers.choosers.network_input import normalised, square

Matrix = npt.NDArray[np.float64]


def frame(width: int, height: int, gray: bool = False) -> Frame:
    random = np.random.default_rng(7)
    rows = height if gray else height * 3 // 2
    return Frame(random.integers(16, 235, (rows, width), np.uint8), 0, Fraction(1, 30), gray=gray)


def weights(before: int, after: int) -> Matrix:
    """(after, before): bilinear interpolation whose triangle is as wide as a pixel of the smaller picture."""
    scale = before / after
    width = max(1.0, scale)
    centres = (np.arange(after) + 0.5) * scale
    distances = np.abs(np.arange(before)[None] + 0.5 - centres[:, None])
    triangles = np.clip(1 - distances / width, 0.0, None)
    result: Matrix = triangles / triangles.sum(1, keepdims=True)
    return result


@pytest.mark.long
@pytest.mark.parametrize(
    ("width", "height", "gray"), [(160, 90, False), (48, 200, False), (20, 12, False), (96, 54, True)]
)
def test_a_picture_is_resized_with_antialiasing_and_rounded(width: int, height: int, gray: bool) -> None:
    original = to_av(frame(width, height, gray), "rgb24").to_ndarray().astype(np.float64)
    expected = np.einsum("ab,bcd,ec->aed", weights(height, 64), original, weights(width, 64))
    picture = square(frame(width, height, gray), 64)
    assert picture.shape == (64, 64, 3)
    assert picture.dtype == np.uint8
    assert np.abs(picture - expected).max() <= 1.01  # the library rounds to bytes between the two directions too


def test_bytes_are_normalised_as_published() -> None:
    picture = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    tensor = normalised(picture, mean, deviation, torch.device("cpu"))
    expected = (picture.astype(np.float64) / 255 - mean) / deviation
    assert tensor.shape == (1, 3, 16, 16)
    assert tensor.dtype == torch.float32
    assert np.abs(tensor[0].permute(1, 2, 0).numpy() - expected).max() <= 1e-4
