import numpy as np
import pytest

from workers.steady.colour_guided import apply_coefficients, fit_coefficients


def filtered(picture: np.ndarray, alpha: np.ndarray, radii: tuple[int, ...], epsilon: float) -> np.ndarray:
    """picture: (h, w, 3)."""
    planes = [np.ascontiguousarray(picture[..., channel], np.float32) for channel in range(3)]
    return apply_coefficients(planes, fit_coefficients(planes, alpha.astype(np.float32), radii, epsilon))


def window_mean(values: np.ndarray, radius: int) -> np.ndarray:
    """Mean over a square window, mirrored at the borders without repeating the edge pixel, as OpenCV does."""
    padded = np.pad(values, ((radius, radius), (radius, radius)) + ((0, 0),) * (values.ndim - 2), mode="reflect")
    side = 2 * radius + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), (0, 1))
    return np.asarray(windows.mean((-2, -1)))


def by_definition(picture: np.ndarray, alpha: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """The paper's, solved pixel by pixel in double precision, before it is limited to 0-1."""
    centre, level = window_mean(picture, radius), window_mean(alpha, radius)
    outer = window_mean(picture[..., :, None] * picture[..., None, :], radius)
    spread = outer - centre[..., :, None] * centre[..., None, :] + epsilon * np.eye(3)
    covariance = window_mean(picture * alpha[..., None], radius) - centre * level[..., None]
    slope = np.linalg.solve(spread, covariance[..., None])[..., 0]
    offset = level - (slope * centre).sum(2)
    return np.asarray((window_mean(slope, radius) * picture).sum(2) + window_mean(offset, radius))


@pytest.mark.parametrize("radii", [(2,), (2, 4)])
def test_matches_the_definition_averaged_over_the_radii(radii: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    picture, alpha, epsilon = rng.random((12, 16, 3)), rng.random((12, 16)), 1e-2
    expected = np.mean([by_definition(picture, alpha, radius, epsilon) for radius in radii], axis=0)
    np.testing.assert_allclose(filtered(picture, alpha, radii, epsilon), expected.clip(0, 1), atol=2e-4)


def test_a_soft_edge_follows_the_picture() -> None:
    picture = np.zeros((24, 32, 3), np.float32)
    picture[:, 16:] = (0.7, 0.4, 0.2)
    soft = np.broadcast_to(np.clip((np.arange(32) - 12.5) / 6, 0, 1), (24, 32)).astype(np.float32)
    result = filtered(picture, soft, (4,), 1e-5)
    step = np.diff(result[12])
    assert step.argmax() == 15
    assert step.max() > 3 * np.diff(soft[12]).max()


def test_a_flat_picture_smooths_and_keeps_the_level() -> None:
    alpha = np.random.default_rng(1).random((24, 32)).astype(np.float32)
    flat = np.full((24, 32, 3), 0.5, np.float32)
    result = filtered(flat, alpha, (4,), 1e-4)
    assert result.std() < 0.2 * alpha.std()
    assert result.mean() == pytest.approx(alpha.mean(), abs=0.03)
