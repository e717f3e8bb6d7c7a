"""The built-in backgrounds, painted by code: calm, out of focus, and with the light from above, as in a room.

While they are painted, pictures are float32 RGB in linear light, (H, W, 3), 0-1.
"""

import secrets
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Floats = npt.NDArray[np.float32]
WIDTH, HEIGHT = 1280, 720  # soft all over: it may be enlarged


def painted(folder: Path, name: str) -> Path:
    """The picture of that name in `folder`, painted when it is first wanted. Takes about a second then.

    Several processes may do so at once: the file appears whole.
    """
    path = folder / f"{name}.jpg"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{name}.{secrets.token_hex(4)}"
        PICTURES[name]().save(draft, "JPEG", quality=90)
        draft.replace(path)
    return path


def dusk() -> Image.Image:
    """Hills one behind the other in the evening's haze."""
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
    """A plain wall with the light of a window falling on it."""
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
    """A city's lights out of focus."""
    x, y = _grid()
    picture = _gradient(y, [(0.0, "#0c1430"), (0.6, "#1c2245"), (1.0, "#0a0d1c")])
    random = np.random.default_rng(11)
    colours = [_rgb(c) for c in ("#ffb347", "#ff7e5f", "#ffe0a3", "#7fb4ff", "#c08bff", "#5fd3c4")]
    for _ in range(90):
        at = random.uniform(0, WIDTH / HEIGHT), random.normal(0.62, 0.16)
        radius = random.uniform(0.014, 0.06)
        distance = np.hypot(x - at[0], y - at[1]) / radius
        disc = np.clip((1 - distance) * 12, 0, 1) * (0.7 + 0.3 * np.clip(distance, 0, 1) ** 4)
        picture += disc[..., None] * colours[random.integers(len(colours))] * random.uniform(0.08, 0.4)
    return _image(picture, blur_px=4)


PICTURES: dict[str, Callable[[], Image.Image]] = {"dusk": dusk, "studio": studio, "evening": evening}


def _grid() -> tuple[Floats, Floats]:
    """x from 0 to the aspect ratio and y from 0 to 1, both (H, W)."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32) / HEIGHT
    return x, y


def _rgb(code: str) -> Floats:
    """`#rrggbb` as three numbers in linear light."""
    light: Floats = np.array([(int(code[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5)], np.float32)
    return light


def _gradient(at: Floats, stops: list[tuple[float, str]]) -> Floats:
    places, colours = [s[0] for s in stops], np.stack([_rgb(s[1]) for s in stops])
    picture: Floats = np.stack([np.interp(at, places, colours[:, c]) for c in range(3)], -1).astype(np.float32)
    return picture


def _glow(x: Floats, y: Floats, centre: tuple[float, float], width: float) -> Floats:
    glow: Floats = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / width**2)
    return glow


def _wave(x: Floats, random: np.random.Generator) -> Floats:
    """A skyline between about -1 and 1, over x: a sum of sines of falling height."""
    line = np.zeros_like(x)
    for octave in range(6):
        line += np.sin(x * (2.3 * 1.9**octave) + random.uniform(0, 6.3)) / 1.9**octave
    return line / np.float32(1.6)


def _band(at: Floats, start: float, end: float) -> Floats:
    band: Floats = np.clip((at - start) * 40, 0, 1) * np.clip((end - at) * 40, 0, 1)
    return band


def _soft(plane: Floats, blur_px: float) -> Floats:
    grey = Image.fromarray((np.clip(plane, 0, 1) * 255).astype(np.uint8))
    return np.asarray(grey.filter(ImageFilter.GaussianBlur(blur_px)), np.float32) / np.float32(255)


def _image(picture: Floats, blur_px: float) -> Image.Image:
    """With a little noise, which keeps gradients from showing steps once they are encoded as video."""
    noise = np.random.default_rng(1).normal(0, 0.6, picture.shape[:2]).astype(np.float32)
    levels = np.clip(picture, 0, 1) ** (1 / 2.2) * 255
    soft = Image.fromarray(levels.astype(np.uint8)).filter(ImageFilter.GaussianBlur(blur_px))
    return Image.fromarray(np.clip(np.asarray(soft, np.float32) + noise[..., None], 0, 255).astype(np.uint8))
