"""Reads an ONNX file: what its input is, and whether an output comes from a sigmoid. Refuses files that cannot be run.

Only what the file itself states; the matte is found by running the network (`onnx_file.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from stream.errors import WeightsError
from stream.settings import Settings
from workers.runtimes.onnxruntime import open_session, reason

FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
"""The supported types of inputs, by onnxruntime's names."""

_SIGMOIDS = ("Sigmoid", "HardSigmoid", "Softmax")
_PASSING = (
    "Cast", "DequantizeLinear", "Identity", "QuantizeLinear", "Reshape", "Resize", "Slice", "Squeeze", "Transpose",
    "Unsqueeze", "Upsample",
)  # fmt: skip
"""Operators after which alpha is still alpha."""

Model = Any  # onnx.ModelProto


@dataclass(frozen=True, slots=True)
class Input:
    """A network's input. dtype: float32 or float16. channels_last: NHWC instead of NCHW. width, height: in pixels; 0 if
    the file accepts any."""

    name: str
    dtype: type
    channels_last: bool
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Graph:
    """A loaded file. alphas: the outputs whose values are known to be within 0-1. metadata: entries of its author."""

    session: Any
    input: Input
    alphas: frozenset[str]
    metadata: Mapping[str, str]


def load(path: Path, settings: Settings) -> Graph:
    """Load an ONNX file. Raises WeightsError if it cannot be run, or has other inputs than one picture."""
    model = _parsed(path)
    _check_data_files(model, path)
    session = _session(model, path, settings)
    names = [output.name for output in session.get_outputs()]
    alphas = frozenset(name for name in names if _is_alpha(model, name))
    return Graph(session, _input(session, path), alphas, {entry.key: entry.value for entry in model.metadata_props})


def described(value: Any) -> str:
    """An input or output of a session as text, such as `image float (1, 3, 320, 320)`."""
    sides = ", ".join(str(side if side is not None else "?") for side in value.shape)
    return f"{value.name} {value.type.removeprefix('tensor(').removesuffix(')')} ({sides})"


def _parsed(path: Path) -> Model:
    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as exc:
        raise WeightsError(f"cannot read {path}: {exc.strerror}") from exc
    except Exception as exc:  # the errors of its parsers have no common base class
        raise WeightsError(f"{path} is not an ONNX file, or is truncated") from exc
    if not model.graph.node:
        raise WeightsError(f"{path} is not an ONNX file, or is truncated")
    return model


def _check_data_files(model: Model, path: Path) -> None:
    """Raise WeightsError if a file with the weights of the network is missing."""
    names = {ExternalDataInfo(tensor).location for tensor in _tensors(model) if uses_external_data(tensor)}
    if missing := sorted(name for name in names if not (path.parent / name).is_file()):
        raise WeightsError(f"{path} has its weights in {', '.join(missing)}, which must be in the same folder")


def _tensors(model: Model) -> Iterator[Any]:
    yield from model.graph.initializer
    for node in model.graph.node:
        yield from (attribute.t for attribute in node.attribute if attribute.HasField("t"))


def _session(model: Model, path: Path, settings: Settings) -> Any:
    try:
        return open_session(str(path), settings)
    except Exception as exc:  # onnxruntime's errors have no common base class
        runtime = f"onnxruntime {onnxruntime.__version__}"
        if "opset" in str(exc).lower() or "ir version" in str(exc).lower():
            versions = f"opset {_opset(model)}, IR version {model.ir_version}"
            raise WeightsError(f"{path} needs a newer version of {runtime}: {versions}") from exc
        raise WeightsError(f"{path} cannot be run by {runtime}: {reason(exc)}") from exc


def _opset(model: Model) -> int:
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)


def _input(session: Any, path: Path) -> Input:
    inputs = session.get_inputs()
    listed = "; ".join(map(described, inputs)) or "none"
    if len(inputs) != 1:
        raise WeightsError(f"{path} must have one input, a picture, but has {len(inputs)}: {listed}")
    (only,) = inputs
    if only.type not in FLOATS or len(only.shape) != 4:
        raise WeightsError(f"{path} needs an input of floats with 4 dimensions, but has: {listed}")
    batch, *sides = (side if isinstance(side, int) and side > 0 else 0 for side in only.shape)
    if batch > 1:
        raise WeightsError(f"{path} needs a batch of one picture, but has: {listed}")
    channels_last = sides[0] != 3 and sides[2] == 3
    if not channels_last and sides[0] not in (0, 3):
        raise WeightsError(f"{path} needs 3 colour channels, as its second or last dimension, but has: {listed}")
    height, width = sides[:2] if channels_last else sides[1:]
    return Input(only.name, FLOATS[only.type], channels_last, width, height)


def _is_alpha(model: Model, name: str) -> bool:
    """Whether an output comes from a sigmoid, through operators that do not change its range."""
    nodes = {output: node for node in model.graph.node for output in node.output}
    while (node := nodes.get(name)) is not None and node.op_type in _PASSING and node.input:
        name = node.input[0]
    return node is not None and node.op_type in _SIGMOIDS
