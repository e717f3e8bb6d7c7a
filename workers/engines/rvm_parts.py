"""Cuts the published graph of RobustVideoMatting into the parts that OpenVINO runs one after the other.

The part with nearly all of the work can compute in bfloat16, the two around it cannot. In bfloat16, a downsampling
factor of 0.6 becomes 0.6016, and with it the picture 385 pixels wide instead of 384. The refiner, a guided filter,
computes variances as differences of nearly equal numbers, of which eight bits leave nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.utils import Extractor

FRAME = ("src", "downsample_ratio")
SMALL = "389"
"""The downsampled picture."""
STATES_IN = ("r1i", "r2i", "r3i", "r4i")
STATES_OUT = ("r1o", "r2o", "r3o", "r4o")
COARSE = ("751", "752")
"""What the network passes to its refiner, at the size of the downsampled picture: features, and colours with alpha."""
GUIDED = ("777_alpha", "779_alpha")
"""A and b of the guided filter, (1, 1, h, w) at the same size: alpha is A * mean(src) + b at the size of `src`."""

_LAST, _FIRST = [0, 2, 3, 1], [0, 3, 1, 2]  # permutations that move the channels


@dataclass(frozen=True)
class Parts:
    """Serialised models. reduce: FRAME to SMALL. matte: SMALL and STATES_IN to COARSE and STATES_OUT. refine: SMALL and
    COARSE to GUIDED.

    COARSE and the states have their channels last, (N, h, w, C): OpenVINO computes in this layout, and would reorder
    them at each end of a part, which takes a tenth of the whole time.
    """

    reduce: bytes
    matte: bytes
    refine: bytes


def cut(path: Path) -> Parts:
    """Cut the model at `path`: the one of which `workers/weights/known.py` has the sha256, whose names are used here.

    Of the guided filter's four channels only alpha's is kept, and the last step, at the size of `src`, is left to the
    caller.
    """
    model = onnx.load(str(path))
    _add_alpha_of_guided(model.graph)
    extractor = Extractor(onnx.shape_inference.infer_shapes(model))

    def part(inputs: Sequence[str], outputs: Sequence[str], last: Sequence[str] = ()) -> bytes:
        extracted = extractor.extract_model(list(inputs), list(outputs))
        _move_channels(extracted.graph, last)
        return bytes(extracted.SerializeToString())

    return Parts(
        part(FRAME, (SMALL,)),
        part((SMALL, *STATES_IN), (*COARSE, *STATES_OUT), last=(*STATES_IN, *COARSE, *STATES_OUT)),
        part((SMALL, *COARSE), GUIDED, last=COARSE),
    )


def _add_alpha_of_guided(graph: Any) -> None:
    for name, value in (("alpha_from", 3), ("alpha_to", 4), ("alpha_axis", 1)):
        graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), name))
    for name in GUIDED:
        source = name.removesuffix("_alpha")
        graph.node.append(helper.make_node("Slice", [source, "alpha_from", "alpha_to", "alpha_axis"], [name]))
        graph.value_info.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * 4))


def _move_channels(graph: Any, names: Sequence[str]) -> None:
    """Give these inputs and outputs their channels last, under the same names."""
    inside = {name: f"{name}_chw" for name in names}
    for node in graph.node:
        node.input[:] = [inside.get(name, name) for name in node.input]
        node.output[:] = [inside.get(name, name) for name in node.output]
    read = [
        helper.make_node("Transpose", [v.name], [inside[v.name]], perm=_FIRST) for v in graph.input if v.name in inside
    ]
    written = [
        helper.make_node("Transpose", [inside[v.name]], [v.name], perm=_LAST) for v in graph.output if v.name in inside
    ]
    nodes = [*read, *graph.node, *written]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    for value in (*graph.input, *graph.output):
        if value.name in inside:
            value.CopyFrom(helper.make_tensor_value_info(value.name, onnx.TensorProto.FLOAT, [None] * 4))
