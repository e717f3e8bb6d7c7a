"""Generates the pictures of the documentation: the demo's backdrop, and figures from real results.

.venv/bin/python docs/pictures.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).parent
CLIP = HERE.parent / "tests" / "data" / "talk_bikes.mp4"
TRUTH = CLIP.with_name("talk_bikes_alpha.mkv")
AT_S = "1.5"
FLICKER = 37  # in the three frames from here the engine detects a person in the traffic, loses it, detects it again
PANELS = (  # caption, arguments for `mattebox file`
    ("input", ["--background", "none", "--engine", "chroma"]),
    ("matte", ["--view", "matte"]),
    ("image:docs/backdrop.jpg", ["--background", f"image:{HERE / 'backdrop.jpg'}"]),
    ("blur", ["--background", "blur:0.7"]),
)


def backdrop(width: int = 1920, height: int = 1080) -> Image.Image:
    """A room in the evening, out of focus: a dark wall, warm light from a window on the left, a few distant lamps."""
    rng = np.random.default_rng(21)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / width, y / height
    wall = np.stack([28 + 18 * y, 40 + 26 * (1 - y), 58 + 34 * (1 - y)], -1)
    glow = np.exp(-((x - 0.12) ** 2 / 0.09 + (y - 0.3) ** 2 / 0.22))[..., None] * np.array([150, 104, 62])
    picture = wall + glow
    for _ in range(26):
        cx, cy, radius = rng.uniform(0.35, 1.05), rng.uniform(0.05, 0.75), rng.uniform(0.012, 0.045)
        tone = np.array([255, 190, 120]) if rng.random() < 0.65 else np.array([120, 190, 220])
        distance = np.hypot((x - cx) * width / height, y - cy) / radius
        disc = 1 / (1 + np.exp((distance - 1) * 18)) * rng.uniform(0.12, 0.4)
        picture += disc[..., None] * tone
    picture += rng.normal(0, 1.2, (height, width, 1))  # prevents banding of the gradients
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def figure() -> Image.Image:
    """One frame with four settings, two by two, each made with the options in its caption."""
    panels = [_panel(caption, arguments) for caption, arguments in PANELS]
    width, height = panels[0].size
    sheet = Image.new("RGB", (2 * width + 6, 2 * height + 6), "white")
    for index, panel in enumerate(panels):
        sheet.paste(panel, ((index % 2) * (width + 6), (index // 2) * (height + 6)))
    return sheet


def steady() -> Image.Image:
    """Three consecutive mattes of the engine selfie: above without temporal smoothing, below with it."""
    width, height = 320, 240
    sheet = Image.new("RGB", (3 * width + 8, 2 * height + 4), "white")
    for row, mode in enumerate(("off", "live")):
        frames = _frames(["--engine", "selfie", "--view", "matte", "--temporal", mode])
        for column in range(3):
            image = frames[FLICKER + column].convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
            _caption(image, f"--temporal {mode}", f"frame {FLICKER + column}")
            sheet.paste(image, (column * (width + 4), row * (height + 4)))
    return sheet


def plot() -> None:
    """The plot of `mattebox bench temporal` on the same clip."""
    command = [sys.executable, "-m", "mattebox", "bench", "temporal", str(CLIP), "--truth", str(TRUTH)]
    subprocess.run([*command, "--save", str(HERE / "temporal.png")], check=True, cwd=HERE.parent)


def _panel(caption: str, arguments: list[str]) -> Image.Image:
    image = _frames(arguments)[-1].convert("RGB")
    _caption(image, caption)
    return image


def _frames(arguments: list[str]) -> list[Image.Image]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "frames"
        command = [sys.executable, "-m", "mattebox", "file", str(CLIP), "-o", str(out), "--end", AT_S, *arguments]
        subprocess.run(command, check=True, cwd=HERE.parent)
        return [Image.open(path).copy() for path in sorted(out.glob("*.png"))]


def _caption(image: Image.Image, *lines: str) -> None:
    draw, size = ImageDraw.Draw(image), image.height // 27
    font = ImageFont.load_default(size)
    for n, line in enumerate(reversed(lines)):
        at = (14, image.height - (1.8 + 2.2 * n) * size)
        box = draw.textbbox(at, line, font=font)
        draw.rounded_rectangle((box[0] - 8, box[1] - 5, box[2] + 8, box[3] + 5), 6, fill=(0, 0, 0))
        draw.text(at, line, font=font, fill=(255, 255, 255))


if __name__ == "__main__":
    backdrop().save(HERE / "backdrop.jpg", quality=88)
    figure().save(HERE / "result.jpg", quality=90)
    steady().save(HERE / "steady.png", optimize=True)
    plot()
