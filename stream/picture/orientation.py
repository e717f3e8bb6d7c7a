"""How a stored picture must be mirrored and turned to be upright: the eight cases of EXIF, as one value."""

from dataclasses import dataclass

import numpy as np

from stream.picture.frames import Plane


@dataclass(frozen=True, slots=True)
class Orientation:
    """mirrored: the stored picture is first mirrored, left to right. quarters: then turned clockwise by this
    number of quarter turns, 0 to 3."""

    mirrored: bool = False
    quarters: int = 0

    @classmethod
    def of_exif(cls, value: object) -> "Orientation":
        """The case of EXIF's tag 274, 1 to 8. Any other value counts as upright."""
        return _EXIF.get(value, cls()) if isinstance(value, int) else cls()

    @property
    def swaps_sides(self) -> bool:
        """Whether width becomes height."""
        return self.quarters % 2 == 1

    def upright(self, pixels: Plane) -> Plane:
        """The picture (H, W) or (H, W, C) turned upright: a view, without a copy."""
        return np.rot90(pixels[:, ::-1] if self.mirrored else pixels, -self.quarters)


_EXIF = {
    1: Orientation(),
    2: Orientation(mirrored=True),
    3: Orientation(quarters=2),
    4: Orientation(mirrored=True, quarters=2),
    5: Orientation(mirrored=True, quarters=3),
    6: Orientation(quarters=1),
    7: Orientation(mirrored=True, quarters=1),
    8: Orientation(quarters=3),
}
