"""The plot of `mattebox bench temporal`: every filter as a point of MAD and dtSSD; lower left is better."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from workers.bench.temporal import Row

_SIZE, _SCALE = (900, 600), 2  # drawn at twice the size, for smooth lines
_LEFT, _TOP, _RIGHT, _BOTTOM = 90, 60, 870, 530
_INK, _GRID = (40, 44, 52), (226, 229, 234)
_COLOURS = {
    "off": (40, 44, 52),
    "EMA": (214, 120, 40),
    "median of 3": (150, 90, 170),
    "live": (38, 110, 200),
    "live+1": (30, 150, 150),
    "offline": (46, 140, 60),
}

_OURS = ("live", "live+1", "offline")  # their lines run to the left, so the label at their end is on the left

Point = tuple[float, float]


def draw(rows: Sequence[Row], title: str, path: Path) -> None:
    """Write a PNG of 900x600. Lines connect the strengths of one filter."""
    page = _Page(rows)
    page.text((_LEFT, 18), title, 20)
    page.text(((_LEFT + _RIGHT) / 2 - 80, 566), "MAD x1e3, how far off", 16)
    page.text((_LEFT, 40), "dtSSD x1e2, how unsteady", 16)
    for family in dict.fromkeys(row.family for row in rows):
        page.family([row for row in rows if row.family == family], _COLOURS[family])
    page.image.resize(_SIZE, Image.Resampling.LANCZOS).save(path)


class _Page:
    """Axes whose ranges contain all rows, and drawing on them."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.image = Image.new("RGB", (_SIZE[0] * _SCALE, _SIZE[1] * _SCALE), "white")
        self._draw = ImageDraw.Draw(self.image)
        self._x = _span([row.mad for row in rows])
        self._y = _span([row.dtssd for row in rows])
        for n in range(6):
            self._tick(n / 5)

    def family(self, rows: Sequence[Row], colour: tuple[int, int, int]) -> None:
        points = [self._point(row) for row in rows]
        if len(points) > 1:
            self._draw.line([_scaled(point) for point in points], colour, 3 * _SCALE, joint="curve")
        for point in points:
            self._draw.circle(_scaled(point), 6 * _SCALE, colour)
        for point, row in {points[0]: rows[0], points[-1]: rows[-1]}.items():
            left = row is rows[-1] and row.family in _OURS
            self.text((point[0] + (-12 if left else 12), point[1]), row.filter, 15, colour, "rm" if left else "lm")

    def text(
        self, at: Point, text: str, size: int, colour: tuple[int, int, int] = _INK, anchor: str | None = None
    ) -> None:
        self._draw.text(_scaled(at), text, colour, ImageFont.load_default(size * _SCALE), anchor)

    def _point(self, row: Row) -> Point:
        return (
            _LEFT + (row.mad - self._x[0]) / (self._x[1] - self._x[0]) * (_RIGHT - _LEFT),
            _BOTTOM - (row.dtssd - self._y[0]) / (self._y[1] - self._y[0]) * (_BOTTOM - _TOP),
        )

    def _tick(self, share: float) -> None:
        x, y = _LEFT + share * (_RIGHT - _LEFT), _BOTTOM - share * (_BOTTOM - _TOP)
        self._draw.line([_scaled((x, _TOP)), _scaled((x, _BOTTOM))], _GRID, _SCALE)
        self._draw.line([_scaled((_LEFT, y)), _scaled((_RIGHT, y))], _GRID, _SCALE)
        self.text((x - 14, _BOTTOM + 8), f"{self._x[0] + share * (self._x[1] - self._x[0]):.1f}", 13)
        self.text((_LEFT - 40, y - 8), f"{self._y[0] + share * (self._y[1] - self._y[0]):.1f}", 13)


def _span(values: Sequence[float]) -> Point:
    margin = 0.1 * (max(values) - min(values)) or 1.0
    return min(values) - margin, max(values) + margin


def _scaled(point: Point) -> Point:
    return point[0] * _SCALE, point[1] * _SCALE
