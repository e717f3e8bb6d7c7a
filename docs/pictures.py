"""Draws the pictures of this folder: the demo's backdrop, and README's figure from real results of the program.

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
AT_S = "1.5"
PANELS = (  # caption, words for `mattebox file`
    ("input", ["--background", "none", "--engine", "chroma"]),
    ("matte", ["--view", "matte"]),
    ("image:docs/backdrop.jpg", ["--background", f"image:{HERE / 'backdrop.jpg'}"]),
    ("blur", ["--background", "blur:0.7"]),
)


def backdrop(width: int = 1920, height: int = 1080) -> Image.Image:
    """An evening room out of focus: a dark wall, a warm window light from the left, a few lamps far away."""
    rng = np.random.default_rng(21)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / width, y / height
    wall = np.stack([28 + 18 * y, 40 + 26 * (1 - y), 58 + 34 * (1 - y)], -1)
    glow = np.exp(-((x - 0.12) ** 2 / 0.09 + (y - 0.3) ** 2 / 0.22))[..., None] * np.array([150, 104, 62])
    picture = wall + glow
    for _ in range(26):
        cx, cy, radius = rng.uniform(0.35, 1.05), rng.uniform(0.05, 0.75), rng.uniform(0.012, 0.045)
        tone = np.array([255, 190, 120]) if rng.random() < 0.65 else np.array([120, 190, 220])
        away = np.hypot((x - cx) * width / height, y - cy) / radius
        disc = 1 / (1 + np.exp((away - 1) * 18)) * rng.uniform(0.12, 0.4)
        picture += disc[..., None] * tone
    picture += rng.normal(0, 1.2, (height, width, 1))  # keeps the gradients from banding
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def figure() -> Image.Image:
    """One frame in four ways, two by two, each made by the command that its caption names."""
    panels = [_panel(caption, words) for caption, words in PANELS]
    width, height = panels[0].size
    sheet = Image.new("RGB", (2 * width + 6, 2 * height + 6), "white")
    for index, panel in enumerate(panels):
        sheet.paste(panel, ((index % 2) * (width + 6), (index // 2) * (height + 6)))
    return sheet


def _panel(caption: str, words: list[str]) -> Image.Image:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "frames"
        command = [sys.executable, "-m", "mattebox", "file", str(CLIP), "-o", str(out), "--end", AT_S, *words]
        subprocess.run(command, check=True, cwd=HERE.parent)
        image = Image.open(sorted(out.glob("*.png"))[-1]).convert("RGB")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(18)
    box = draw.textbbox((14, 448), caption, font=font)
    draw.rounded_rectangle((box[0] - 8, box[1] - 5, box[2] + 8, box[3] + 5), 6, fill=(0, 0, 0))
    draw.text((14, 448), caption, font=font, fill=(255, 255, 255))
    return image


if __name__ == "__main__":
    backdrop().save(HERE / "backdrop.jpg", quality=88)
    figure().save(HERE / "result.jpg", quality=90)
