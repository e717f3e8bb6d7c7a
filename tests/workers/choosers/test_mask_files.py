"""Pictures as regions."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stream.errors import UsageError
from stream.settings import Settings
from workers.choosers.mask_files import read_mask

LEVELS = np.array([[0, 51, 255]], np.uint8)


@pytest.mark.parametrize("kind", ["grey", "colour", "alpha", "16 bits"])
def test_brightness_or_alpha_is_the_region(tmp_path: Path, kind: str) -> None:
    grey = Image.fromarray(LEVELS)
    pictures = {
        "grey": grey,
        "colour": grey.convert("RGB"),
        "alpha": Image.merge("RGBA", [Image.new("L", grey.size, 77)] * 3 + [grey]),
        "16 bits": Image.fromarray(LEVELS.astype(np.uint16) * 257),
    }
    pictures[kind].save(tmp_path / "mask.png")
    region = read_mask(str(tmp_path / "mask.png"), Settings())
    assert region.dtype == np.float32
    np.testing.assert_allclose(region, [[0.0, 0.2, 1.0]], atol=0.01)


def test_uploaded_masks_are_storage_keys(tmp_path: Path) -> None:
    Image.fromarray(LEVELS).save(tmp_path / "mask.png")
    settings = Settings(storage=str(tmp_path))
    assert read_mask("storage://mask.png", settings).shape == (1, 3)
    for key in ("none.png", "../mask.png"):
        with pytest.raises(UsageError, match="mask"):
            read_mask(f"storage://{key}", settings)


def test_pictures_over_the_limit_are_refused(tmp_path: Path) -> None:
    Image.new("L", (8, 8), 255).save(tmp_path / "mask.png")
    with pytest.raises(UsageError, match="8x8, over 60 pixels"):
        read_mask(str(tmp_path / "mask.png"), Settings(max_pixels=60))
