"""Cut an ONNX graph in two: what can be computed before some inputs are known, and the rest.

A recurrent network's layers that do not see its memory can then run for the next frame while the others are at work on
this one. The two halves compute exactly what the whole does.
"""

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx.utils import Extractor


@dataclass(frozen=True)
class Halves:
    """early, late: the two models, serialised. passed: names of the tensors that go from one to the other."""

    early: bytes
    late: bytes
    passed: tuple[str, ...]


def split(path: Path, late_inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Halves:
    """Cut the model at `path` along everything that depends on `late_inputs`; `outputs` come out of the late half.

    Tensors of the early half and plain inputs that the late half needs are its inputs, beside `late_inputs`.
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
