"""Small networks in ONNX files, for tests: a random U-Net in the variants that exporters write."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
_LAYERS = {"down": (8, 3, 3, 3), "inner": (8, 8, 3, 3), "up": (1, 16, 3, 3)}
Side = int | str


def unet(
    path: Path,
    size: tuple[Side, Side] = ("width", "height"),
    *,
    dtype: type = np.float32,
    channels_last: bool = False,
    last: str = "Sigmoid",
    gain: float = 1.0,
    batch: Side = "batch",
    opset: int = OPSET,
) -> Path:
    """Write a network with one level of downsampling and a skip connection.

    size: (width, height) of its input; text for any. dtype: of weights, input and output. last: its last operator; ""
    for none. gain: of the last layer's weights, which scales its logits.
    """
    random, kind = np.random.default_rng(0), helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    weights = {name: random.normal(0, 0.3, shape) for name, shape in _LAYERS.items()}
    weights["up"] *= gain
    tensors = [numpy_helper.from_array(values.astype(dtype), name) for name, values in weights.items()]
    tensors.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"))
    nodes = [
        *_transposed("image", "first", channels_last, [0, 3, 1, 2]),
        _convolution("first", "down", "wide"),
        helper.make_node("Relu", ["wide"], ["skip"]),
        helper.make_node("MaxPool", ["skip"], ["half"], kernel_shape=[2, 2], strides=[2, 2]),
        _convolution("half", "inner", "deep"),
        helper.make_node("Relu", ["deep"], ["active"]),
        helper.make_node("Resize", ["active", "", "scales"], ["back"], mode="nearest"),
        helper.make_node("Concat", ["skip", "back"], ["both"], axis=1),
        _convolution("both", "up", "logits"),
        helper.make_node(last or "Identity", ["logits"], ["planar"]),
        *_transposed("planar", "matte", channels_last, [0, 2, 3, 1]),
    ]
    width, height = size

    def end(name: str, channels: int) -> Any:
        sides = (batch, height, width, channels) if channels_last else (batch, channels, height, width)
        return value(name, *sides, kind=kind)

    return write(path, nodes, [end("image", 3)], [end("matte", 1)], tensors, opset)


def write(
    path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], tensors: Any = (), opset: int = OPSET
) -> Path:
    graph = helper.make_graph(nodes, "network", inputs, outputs, tensors)
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(path))
    return path


def value(name: str, *sides: Side, kind: int = TensorProto.FLOAT) -> Any:
    """An input or output of a graph."""
    return helper.make_tensor_value_info(name, kind, list(sides))


def _convolution(source: str, name: str, target: str) -> Any:
    return helper.make_node("Conv", [source, name], [target], pads=[1, 1, 1, 1])


def _transposed(source: str, target: str, applies: bool, order: list[int]) -> list[Any]:
    """A node that changes the layout, or that passes the tensor on."""
    if applies:
        return [helper.make_node("Transpose", [source], [target], perm=order)]
    return [helper.make_node("Identity", [source], [target])]
