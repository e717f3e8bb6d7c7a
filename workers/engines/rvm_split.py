"""Splits an ONNX graph in two: the part that does not depend on some inputs, and the rest.

The layers of a recurrent network that do not depend on its state can then run for the next frame while the others run
for this one. The two halves compute exactly the same as the whole.
"""

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx.utils import Extractor


@dataclass(frozen=True)
class Halves:
    """early, late: the two models, serialised. passed: names of the tensors that `early` returns and `late` takes."""

    early: bytes
    late: bytes
    passed: tuple[str, ...]


def split(path: Path, late_inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Halves:
    """Split the model at `path` into nodes that depend on `late_inputs` and nodes that do not.

    The late half returns `outputs`. Its inputs are `late_inputs`, the tensors passed from the early half, and those
    inputs of the model that it uses directly.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
    inputs = [value.name for value in model.graph.input]
    computed = {name: node for node in model.graph.node for name in node.output}
    late = _depends_on(model, set(late_inputs))
    needed = [name for node in model.graph.node if node.output[0] in late for name in node.input if name not in late]
    passed = [n for n in dict.fromkeys(needed) if n in computed and computed[n].op_type != "Constant"]
    plain = [name for name in inputs if name in needed]
    extractor = Extractor(model)
    early_inputs = [name for name in inputs if name not in late_inputs]
    return Halves(
        extractor.extract_model(early_inputs, passed).SerializeToString(),
        extractor.extract_model([*plain, *passed, *late_inputs], list(outputs)).SerializeToString(),
        tuple(passed),
    )


def _depends_on(model: onnx.ModelProto, names: set[str]) -> set[str]:
    """`names` and every tensor computed from one of them. ONNX keeps nodes in the order they run."""
    late = set(names)
    for node in model.graph.node:
        if late.intersection(node.input):
            late.update(node.output)
    return late
