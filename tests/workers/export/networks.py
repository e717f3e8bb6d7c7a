"""A small network with what is particular about BiRefNet: a deformable convolution whose positions are computed."""

from pathlib import Path

import numpy as np
from onnx import helper, numpy_helper

from tests.onnx_networks import value, write

CHANNELS, TAPS, OPSET = 16, 9, 19
_SHAPES = {
    "first": (CHANNELS, 3, 3, 3),
    "positions": (3 * TAPS, CHANNELS, 3, 3),
    "deformed": (CHANNELS, CHANNELS, 3, 3),
    "inner": (CHANNELS, CHANNELS, 3, 3),
    "last": (1, CHANNELS, 1, 1),
}


def deformable(path: Path, width: int = 64, height: int = 48) -> Path:
    """Nodes `first`, `positions`, `inner` and `last` are convolutions. Its input is `input`, its output `logits`."""
    random = np.random.default_rng(0)
    tensors = [
        numpy_helper.from_array(
            random.normal(0, np.prod(shape[1:]) ** -0.5, shape).astype(np.float32), f"{name}.weight"
        )
        for name, shape in _SHAPES.items()
    ]
    tensors.append(numpy_helper.from_array(np.array([2 * TAPS, TAPS]), "parts"))
    nodes = [
        _convolution("input", "first", 3),
        helper.make_node("Relu", ["first.out"], ["x"], name="relu"),
        _convolution("x", "positions", 3),
        helper.make_node("Split", ["positions.out", "parts"], ["offset", "scores"], axis=1, name="split"),
        helper.make_node("Sigmoid", ["scores"], ["mask"], name="mask"),
        helper.make_node(
            "DeformConv", ["x", "deformed.weight", "offset", "", "mask"], ["moved"], pads=[1] * 4, name="deformed"
        ),
        _convolution("moved", "inner", 3),
        helper.make_node("Relu", ["inner.out"], ["active"], name="active"),
        _convolution("active", "last", 1, "logits"),
    ]
    batch = "batch"
    return write(
        path,
        nodes,
        [value("input", batch, 3, height, width)],
        [value("logits", batch, 1, height, width)],
        tensors,
        OPSET,
    )


def _convolution(source: str, name: str, kernel: int, target: str = "") -> object:
    inputs, output = [source, f"{name}.weight"], target or f"{name}.out"
    return helper.make_node("Conv", inputs, [output], pads=[kernel // 2] * 4, name=name)
