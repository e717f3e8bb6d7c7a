"""ONNX files in less precision: float16 and int8, with float32 inputs and outputs. Knows nothing about any network.

Both converters are part of onnxruntime. What rounding harms most keeps float32: sampling positions of deformable
convolutions, where an error moves the picture, and the last convolutions, whose error is that of the output.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quant_pre_process, quantize_static
from onnxruntime.transformers import float16
from onnxruntime.transformers.onnx_model import OnnxModel

from workers.device.tensors import Tensor

Precision = Literal["fp32", "fp16", "int8"]

_WEIGHTED = ("Conv", "Gemm", "MatMul")
"""The operators that are quantized: nearly all weights, and nearly all the time, are theirs."""
_DEFORMABLE = "DeformConv"  # onnxruntime has no kernel for it in float16
_POSITIONS = (2, 4)  # its inputs `offset` and `mask`


def to_float16(source: Path, target: Path) -> None:
    """Write the network with weights and activations in float16, except deformable convolutions' activations."""
    model = float16.convert_float_to_float16(
        onnx.load(str(source)),
        keep_io_types=True,
        op_block_list=[*float16.DEFAULT_OP_BLOCK_LIST, _DEFORMABLE],
        force_fp16_initializers=True,
    )
    ordered = OnnxModel(model)
    ordered.topological_sort()  # its casts are at the end
    onnx.save(ordered.model, str(target))


def to_int8(source: Path, target: Path, inputs: Iterable[Tensor]) -> None:
    """Write the network with int8 weights, one scale per channel, and int8 activations, whose ranges are those for
    `inputs`, float32 (1, 3, height, width).

    Results of matrix products stay float32, because what follows them (GELU, normalisation, sums) is not quantized.
    """
    prepared = target.with_suffix(".prepared.onnx")
    with _quiet():
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        model = onnx.load(str(prepared))
        quantize_static(
            str(prepared),
            str(target),
            _Inputs(model.graph.input[0].name, inputs),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_WEIGHTED),
            nodes_to_exclude=sensitive(model),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True, "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
        )
    prepared.unlink()


def sensitive(model: Any) -> list[str]:
    """The names of the nodes of an ONNX model that keep float32: those that compute sampling positions, the last ones
    before each output, and those with a bias that is not constant, which have no int8 kernel."""
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    positions = [
        node.input[index]
        for node in graph.node
        if node.op_type == _DEFORMABLE
        for index in _POSITIONS
        if index < len(node.input)
    ]
    last = _nearest(graph, [*positions, *(output.name for output in graph.output)])
    biased = {
        node.name
        for node in graph.node
        if node.op_type == "Gemm" and len(node.input) > 2 and node.input[2] not in constants
    }
    return sorted(last | biased)


def _nearest(graph: Any, tensors: Iterable[str]) -> set[str]:
    """The names of the weighted nodes from which these tensors are computed without another weighted node between."""
    producers = {output: node for node in graph.node for output in node.output}
    found: set[str] = set()
    waiting, seen = list(tensors), set(tensors)
    while waiting:
        node = producers.get(waiting.pop())
        if node is None:
            continue
        if node.op_type in _WEIGHTED:
            found.add(node.name)
            continue
        waiting += (name for name in node.input if name not in seen)
        seen.update(node.input)
    return found


class _Inputs(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, inputs: Iterable[Tensor]) -> None:
        self._name, self._inputs = name, iter(inputs)

    def get_next(self) -> dict[str, Tensor] | None:
        picture = next(self._inputs, None)
        return None if picture is None else {self._name: picture}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice that onnxruntime's quantization logs, which is for its developers."""
    log = logging.getLogger()
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
