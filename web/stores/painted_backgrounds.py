"""The built-in background pictures, painted by code. All are out of focus and lit from above, like a room.

Arrays named `picture` are float32 RGB in linear light, (H, W, 3), 0-1.
"""

import secrets
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Floats = npt.NDArray[np.float32]
WIDTH, HEIGHT = 1280, 720  # everything is blurred, so enlarging is harmless


def painted(folder: Path, name: str) -> Path:
    """The path of the picture in `folder`, painted on first use, which takes about a second.

    Safe for several processes at once: the file is written atomically. Raises OSError.
    """
    path = folder / f"{name}.jpg"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{name}.{secrets.token_hex(4)}"
        PICTURES[name]().save(draft, "JPEG", quality=90)
        draft.replace(path)
    return path


def dusk() -> Image.Image:
    """Rows of hills in evening haze."""
    x, y = _grid()
    picture = _gradient(y, [(0.0, "#27365f"), (0.38, "#8a6f93"), (0.6, "#f0a36f"), (0.72, "#ffd9a0")])
    picture += _glow(x, y, (1.25, 0.62), 0.5)[..., None] * _rgb("#ffb070") * 0.7
    random = np.random.default_rng(7)
    for depth in range(5):
        near = depth / 4
        ridge = 0.58 + 0.09 * depth + _wave(x[0], random) * (0.035 + 0.03 * near)
        hill = (1 - near) * _rgb("#b98a86") + near * _rgb("#1d2338")
        shade = np.clip((y - ridge) * HEIGHT / 3, 0, 1)[..., None]
        mist = np.clip(1 - (y - ridge) * 5, 0, 1)[..., None] * (1 - near) * 0.25
        picture = picture * (1 - shade) + shade * (hill * (1 - mist) + _rgb("#f3b991") * mist)
    return _image(picture, blur_px=3)


def studio() -> Image.Image:
    """A plain wall with light from a window on it."""
    x, y = _grid()
    picture = _gradient(y, [(0.0, "#c9c3ba"), (0.75, "#b3aba0"), (1.0, "#8f877c")])
    picture *= (0.72 + 0.4 * _glow(x, y, (0.5, 0.3), 0.9))[..., None]
    slant = x + 0.32 * y
    panes = _band(slant, 0.42, 0.66) + _band(slant, 0.72, 0.96)
    light = panes * (_band(y - 0.1 * x, 0.06, 0.30) + _band(y - 0.1 * x, 0.35, 0.59))
    picture += _soft(light, 14)[..., None] * _rgb("#ffe2b8") * 0.32
    floor = np.clip((y - 0.86) * 60, 0, 1)[..., None]
    picture = picture * (1 - floor) + floor * picture * _rgb("#b99b7c") * 1.1
    return _image(picture, blur_px=5)


def evening() -> Image.Image:
    """City lights, out of focus."""
    _, y = _grid()
    picture = _gradient(y, [(0.0, "#0c1430"), (0.6, "#1c2245"), (1.0, "#0a0d1c")])
    random = np.random.default_rng(11)
    colours = [_rgb(c) for c in ("#ffb347", "#ff7e5f", "#ffe0a3", "#7fb4ff", "#c08bff", "#5fd3c4")]
    for _ in range(90):
        at = random.uniform(0, WIDTH / HEIGHT), random.normal(0.62, 0.16)
        radius = random.uniform(0.014, 0.06)
        colour = colours[random.integers(len(colours))] * random.uniform(0.08, 0.4)
        _add_disc(picture, at, radius, colour)
    return _image(picture, blur_px=4)


def paper() -> Image.Image:
    """A photo studio's paper backdrop, from the wall onto the floor."""
    x, y = _grid()
    picture = _gradient(y, [(0.0, "#d8d2c8"), (0.55, "#ece7de"), (0.8, "#f4f0e9"), (1.0, "#dcd5ca")])
    picture *= (0.78 + 0.3 * _glow(x, y, (0.75, 0.42), 0.95))[..., None]
    return _image(picture, blur_px=6)


def sage() -> Image.Image:
    """A green wall with the shadow of a plant beside a window."""
    x, y = _grid()
    picture = _gradient(y, [(0.0, "#a9b8a3"), (0.7, "#93a58d"), (1.0, "#7f927a")])
    picture *= (0.66 + 0.55 * _glow(x, y, (0.35, 0.2), 1.1))[..., None]
    random, shade = np.random.default_rng(5), np.zeros_like(x)
    for stem in range(5):
        root, lean = np.array([1.62 + 0.05 * stem, 1.1]), -0.95 + 0.27 * stem
        for leaf in range(9):
            way = 0.2 + 0.1 * leaf
            at = root + way * np.array([np.sin(lean + 0.25 * way), -np.cos(lean)])
            shade = np.maximum(shade, _leaf(x, y, at, lean + random.choice([-0.9, 0.9]), 0.13 - 0.008 * leaf))
    picture *= 1 - 0.42 * _soft(shade, 11)[..., None]
    return _image(picture, blur_px=3)


def office() -> Image.Image:
    """A bright office in the distance: tall windows, lamps and a few plants, all out of focus."""
    x, y = _grid()
    picture = _gradient(y, [(0.0, "#c9c6c1"), (0.66, "#bdb8b1"), (0.72, "#8d7c6a"), (1.0, "#6f6052")])
    for left in (0.06, 0.42, 0.78):
        pane = (_band(x, left, left + 0.3) * _band(y, 0.06, 0.63))[..., None]
        picture = picture * (1 - pane) + pane * _gradient(y, [(0.0, "#e9f2fb"), (0.4, "#f7fafc"), (0.63, "#cfdccf")])
    for left, right, top, bottom, colour in _FURNITURE:
        part = (_band(x, left, right) * _band(y, top, bottom))[..., None]
        picture = picture * (1 - part) + part * _rgb(colour)
    random = np.random.default_rng(3)
    for _ in range(60):
        at = random.normal(1.22, 0.05), random.normal(0.56, 0.08)
        _add_disc(picture, at, random.uniform(0.01, 0.03), _rgb("#4f6f4a") - 0.25)
    picture += _glow(x, y, (1.5, 0.28), 0.16)[..., None] * _rgb("#ffdca6") * 0.8
    return _image(np.clip(picture, 0.02, 1), blur_px=13)


_FURNITURE = (
    (0.0, 0.55, 0.62, 0.68, "#e7e1d8"), (0.1, 0.3, 0.46, 0.62, "#39424e"), (1.17, 1.27, 0.6, 0.74, "#d9d2c5"),
    (1.36, 1.7, 0.34, 0.37, "#a98e6d"), (1.36, 1.7, 0.5, 0.53, "#a98e6d"), (1.4, 1.48, 0.4, 0.5, "#5f7f8f"),
    (1.52, 1.57, 0.42, 0.5, "#b5694f"), (0.62, 1.05, 0.66, 0.72, "#4f5966"),
)  # fmt: skip


def library() -> Image.Image:
    """Bookshelves lit by a reading lamp."""
    x, y = _grid()
    picture = np.broadcast_to(_rgb("#2b1d14"), (HEIGHT, WIDTH, 3)).copy()
    random = np.random.default_rng(23)
    colours = [
        _rgb(c) for c in ("#7a3b2e", "#31566b", "#c9a66b", "#4d6146", "#8c6f5a", "#d8ccb4", "#263248", "#a8553a")
    ]
    for background_store in range(5):
        floor, left = int((0.19 + 0.21 * background_store) * HEIGHT), int(random.uniform(-30, 0))
        while left < WIDTH:
            wide, tall = int(random.uniform(14, 40)), int(random.uniform(0.11, 0.165) * HEIGHT)
            if random.random() > 0.07:  # a few gaps between books
                spine = colours[random.integers(len(colours))] * random.uniform(0.5, 1.1)
                picture[max(0, floor - tall) : floor, max(0, left) : left + wide - 2] = spine
            left += wide
        picture[floor : floor + 12] = _rgb("#6b4a31")
    picture *= (0.3 + 1.15 * _glow(x, y, (1.3, 0.35), 0.75))[..., None]
    return _image(picture * _rgb("#fff0dc"), blur_px=6)


def neon() -> Image.Image:
    """A dark wall with a violet lamp on one side and a turquoise one on the other."""
    x, y = _grid()
    picture = _gradient(y, [(0.0, "#14121f"), (0.75, "#1a1728"), (1.0, "#0b0a12")])
    picture += _glow(x, y, (0.05, 0.35), 0.62)[..., None] * _rgb("#a63df0") * 0.42
    picture += _glow(x, y, (1.75, 0.6), 0.6)[..., None] * _rgb("#16b8c8") * 0.36
    for left in np.arange(0.0, WIDTH / HEIGHT, 0.11):
        picture *= (1 - 0.22 * np.exp(-(((x - left) / 0.006) ** 2)))[..., None]
    return _image(picture, blur_px=3)


PICTURES: dict[str, Callable[[], Image.Image]] = {
    "studio": studio, "paper": paper, "sage": sage, "office": office,
    "library": library, "dusk": dusk, "evening": evening, "neon": neon,
}  # fmt: skip


def _grid() -> tuple[Floats, Floats]:
    """x from 0 to the aspect ratio and y from 0 to 1, both (H, W)."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32) / HEIGHT
    return x, y


def _rgb(code: str) -> Floats:
    """`#rrggbb` as RGB in linear light, (3,), 0-1."""
    light: Floats = np.array([(int(code[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5)], np.float32)
    return light


def _gradient(at: Floats, stops: list[tuple[float, str]]) -> Floats:
    """(H, W, 3): the colours at the positions `at`, (H, W). stops: position and `#rrggbb`."""
    positions, colours = [s[0] for s in stops], np.stack([_rgb(s[1]) for s in stops])
    picture: Floats = np.stack([np.interp(at, positions, colours[:, c]) for c in range(3)], -1).astype(np.float32)
    return picture


def _glow(x: Floats, y: Floats, centre: tuple[float, float], width: float) -> Floats:
    """A Gaussian with the maximum 1 at `centre`, (H, W)."""
    glow: Floats = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / width**2)
    return glow


def _add_disc(picture: Floats, centre: tuple[float, float], radius: float, colour: Floats) -> None:
    """Add a point of light out of focus, in place. Like a lens, it makes the disc brighter at the rim."""
    rows, columns = (_near(c, radius, size) for c, size in ((centre[1], HEIGHT), (centre[0], WIDTH)))
    y, x = np.mgrid[rows, columns].astype(np.float32) / HEIGHT
    distance = np.hypot(x - centre[0], y - centre[1]) / radius
    disc = np.clip((1 - distance) * 12, 0, 1) * (0.7 + 0.3 * np.clip(distance, 0, 1) ** 4)
    picture[rows, columns] += disc[..., None] * colour


def _near(centre: float, radius: float, size: int) -> slice:
    """The rows or columns that a disc may touch, in pixels; empty if it is outside the picture."""
    first, last = int((centre - radius) * HEIGHT), int((centre + radius) * HEIGHT) + 2
    return slice(min(max(first, 0), size), min(max(last, 0), size))


def _leaf(x: Floats, y: Floats, at: npt.NDArray[np.float64], angle: float, length: float) -> Floats:
    """A mask of an ellipse three times as long as wide, rotated by `angle` in radians, (H, W), 0 or 1."""
    along = (x - at[0]) * np.sin(angle) - (y - at[1]) * np.cos(angle)
    across = (x - at[0]) * np.cos(angle) + (y - at[1]) * np.sin(angle)
    leaf: Floats = (((along / length) ** 2 + (across / (length / 3)) ** 2) < 1).astype(np.float32)
    return leaf


def _wave(x: Floats, random: np.random.Generator) -> Floats:
    """A random ridge line over `x`, between about -1 and 1: a sum of sines with falling amplitudes."""
    line = np.zeros_like(x)
    for octave in range(6):
        line += np.sin(x * (2.3 * 1.9**octave) + random.uniform(0, 6.3)) / 1.9**octave
    return line / np.float32(1.6)


def _band(at: Floats, start: float, end: float) -> Floats:
    """A mask that is 1 between `start` and `end`, with soft edges, 0-1."""
    band: Floats = np.clip((at - start) * 40, 0, 1) * np.clip((end - at) * 40, 0, 1)
    return band


def _soft(plane: Floats, blur_px: float) -> Floats:
    """The plane, (H, W), 0-1, blurred with a Gaussian."""
    grey = Image.fromarray((np.clip(plane, 0, 1) * 255).astype(np.uint8))
    return np.asarray(grey.filter(ImageFilter.GaussianBlur(blur_px)), np.float32) / np.float32(255)


def _image(picture: Floats, blur_px: float) -> Image.Image:
    """Convert to sRGB and blur; add a little noise, which avoids banding when the picture is encoded as video."""
    noise = np.random.default_rng(1).normal(0, 0.6, picture.shape[:2]).astype(np.float32)
    levels = np.clip(picture, 0, 1) ** (1 / 2.2) * 255
    soft = Image.fromarray(levels.astype(np.uint8)).filter(ImageFilter.GaussianBlur(blur_px))
    return Image.fromarray(np.clip(np.asarray(soft, np.float32) + noise[..., None], 0, 255).astype(np.uint8))
