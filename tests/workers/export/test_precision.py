from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from tests.workers.export.networks import deformable
from workers.device.tensors import Tensor
from workers.export.precision import sensitive, to_float16, to_int8


@pytest.fixture
def exact(tmp_path: Path) -> Path:
    return deformable(tmp_path / "exact.onnx")


def inputs(count: int) -> list[Tensor]:
    random = np.random.default_rng(1)
    return [random.normal(0, 1, (1, 3, 48, 64)).astype(np.float32) for _ in range(count)]


def run(path: Path, picture: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"input": picture})
    return np.asarray(logits)


def types(model: Any) -> Counter[int]:
    """The number of weights by their type."""
    return Counter(tensor.data_type for tensor in model.graph.initializer if tensor.name.split(".")[-1] != "out")


def test_positions_and_the_last_convolution_are_sensitive(exact: Path) -> None:
    assert sensitive(onnx.load(str(exact))) == ["last", "positions"]


def test_a_gemm_with_a_computed_bias_is_sensitive(tmp_path: Path) -> None:
    from onnx import helper, numpy_helper

    from tests.onnx_networks import value, write

    weight = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["a"], name="plain"),
        helper.make_node("Gemm", ["x", "w", "a"], ["b"], name="summed"),
        helper.make_node("MatMul", ["b", "w"], ["c"], name="last"),
    ]
    path = write(tmp_path / "g.onnx", nodes, [value("x", 2, 4)], [value("c", 2, 4)], [weight])
    assert sensitive(onnx.load(str(path))) == ["last", "summed"]


def test_float16_halves_the_file_and_keeps_float32_outside(exact: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.onnx"
    to_float16(exact, half)
    model = onnx.load(str(half))
    onnx.checker.check_model(model)
    ends = [end.type.tensor_type.elem_type for end in (*model.graph.input, *model.graph.output)]
    assert ends == [TensorProto.FLOAT, TensorProto.FLOAT]
    assert TensorProto.FLOAT not in types(model)
    assert half.stat().st_size < 0.75 * exact.stat().st_size  # the graph itself does not become smaller
    (picture,) = inputs(1)
    off = np.abs(run(half, picture) - run(exact, picture)).max()
    assert 0 < off < 0.02


def test_int8_quantizes_all_but_the_sensitive_convolutions(exact: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.onnx"
    to_int8(exact, small, inputs(4))
    model = onnx.load(str(small))
    onnx.checker.check_model(model)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    assert {name for name in weights if name.endswith(".weight")} == {
        "positions.weight", "deformed.weight", "last.weight"
    }  # fmt: skip
    assert weights["inner.weight_quantized"].data_type == TensorProto.INT8
    assert list(weights["inner.weight_scale"].dims) == [16], "one scale per channel"
    (picture,) = inputs(1)
    expected = run(exact, picture)
    off = np.abs(run(small, picture) - expected)
    assert 0 < off.mean() < 0.02 * np.ptp(expected)
    assert [path.name for path in tmp_path.iterdir() if path != exact] == ["small.onnx"]
