import numpy as np
import pytest

from stream.picture.photo import as_displayed, from_displayed, from_matte
from stream.picture.transfer import from_linear, linear_levels, to_linear


@pytest.mark.parametrize(
    ("encoded", "linear"), [(0, 0), (0.04045, 0.0031308), (0.5, 0.2140411), (1, 1), (0.735357, 0.5)]
)
def test_known_values_of_the_srgb_curve(encoded: float, linear: float) -> None:
    assert to_linear(np.array([encoded], np.float32))[0] == pytest.approx(linear, abs=2e-6)
    assert from_linear(np.array([linear], np.float32))[0] == pytest.approx(encoded, abs=2e-5)


def test_the_curve_goes_on_outside_0_to_1() -> None:
    values = np.array([-2, -0.5, -0.001, 1.5, 8], np.float32)
    np.testing.assert_allclose(from_linear(to_linear(values)), values, rtol=1e-5)
    assert (np.diff(to_linear(values)) > 0).all()


def test_all_levels_of_16_bits_survive_linear_light() -> None:
    levels = np.arange(65_536, dtype=np.uint16)
    linear = linear_levels(65_535)[levels]
    np.testing.assert_array_equal(from_displayed(as_displayed(linear), np.uint16), levels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_are_unchanged_by_display_levels(dtype: type[np.uint8] | type[np.uint16]) -> None:
    values = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    np.testing.assert_array_equal(from_displayed(as_displayed(values), dtype), values)


def test_a_matte_is_data_in_every_depth() -> None:
    matte = np.array([0, 51, 255], np.uint8)
    assert from_matte(matte, np.uint16).tolist() == [0, 51 * 257, 65_535]
    np.testing.assert_allclose(from_matte(matte, np.float16), [0, 0.2, 1], atol=1e-3)
