"""HDR to SDR as a lookup table: BT.2020 PQ or HLG signal in, BT.709 signal out, for FFmpeg's `lut3d` filter.

PQ is SMPTE ST 2084, HLG is ITU-R BT.2100 with its reference 1,000 cd/m² display, the roll-off is the EETF of
ITU-R BT.2390, and diffuse white is 203 cd/m² (ITU-R BT.2408), which becomes SDR white.
"""

import functools
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

PQ, HLG = 16, 18  # transfer characteristics, as numbered in ITU-T H.273

_GRID = 33
_PEAK, _WHITE = 1000.0, 203.0  # cd/m²: the brightest highlight kept, and the level of SDR white
_TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593])
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def pq_to_light(signal: Floats) -> Floats:
    """PQ signal 0-1 to luminance in cd/m²."""
    power = np.power(np.clip(signal, 0, 1), 1 / _M2)
    light: Floats = 10_000.0 * np.power(np.maximum(power - _C1, 0) / (_C2 - _C3 * power), 1 / _M1)
    return light


def light_to_pq(light: Floats) -> Floats:
    """Luminance in cd/m² to PQ signal 0-1."""
    power = np.power(np.clip(light / 10_000.0, 0, 1), _M1)
    return np.asarray(np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2))


def hlg_to_light(signal: Floats) -> Floats:
    """HLG signal 0-1, shape (..., 3), to display light in cd/m² on a 1,000 cd/m² screen (system gamma 1.2)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luma = np.maximum(scene @ _LUMA_2020, 1e-9)[..., None]
    return np.asarray(_PEAK * luma**0.2 * scene)


def roll_off(light: Floats) -> Floats:
    """BT.2390's EETF: luminance (cd/m²) below the knee is unchanged; above it, up to 1,000 is compressed to 203."""
    peak, target = (float(light_to_pq(np.array(v))) for v in (_PEAK, _WHITE))
    top = target / peak
    knee = 1.5 * top - 0.5
    signal = np.clip(light_to_pq(light) / peak, 0, 1)
    t = np.clip((signal - knee) / (1 - knee), 0, 1)
    curve = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * top
    return pq_to_light(np.where(signal < knee, signal, curve) * peak)


def to_sdr(signal: Floats, trc: int) -> Floats:
    """R'G'B' of BT.2020 in PQ or HLG, shape (..., 3), 0-1, to R'G'B' of BT.709, 0-1.

    The brightest channel is rolled off and the others keep their ratio to it, which preserves hue.
    """
    light = pq_to_light(signal) if trc == PQ else hlg_to_light(signal)
    brightest = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
    sdr = (light * (roll_off(brightest) / brightest) / _WHITE) @ _TO_BT709.T
    return np.asarray(np.power(np.clip(sdr, 0, 1), 1 / 2.4))


def cube_text(trc: int) -> str:
    """The content of a .cube file with the table; red varies fastest."""
    axis = np.linspace(0, 1, _GRID)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    rows = to_sdr(np.stack([red, green, blue], -1), trc).reshape(-1, 3)
    return f"LUT_3D_SIZE {_GRID}\n" + "\n".join(f"{r:.6f} {g:.6f} {b:.6f}" for r, g, b in rows) + "\n"


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="mattebox-lut-")


@functools.cache
def cube_file(trc: int) -> Path:
    """A file with the table that exists until this process ends: `lut3d` only reads from a path."""
    path = Path(_folder().name) / f"{trc}.cube"
    path.write_text(cube_text(trc))
    return path
