"""The engine `onnx`: any network with one picture as its input."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

from stream.errors import EngineError, UsageError, WeightsError
from stream.records.options import Options
from stream.settings import Settings
from tests.onnx_networks import unet, value, write
from tests.workers.engines.engine_runs import clip, run
from workers.device.tensors import Tensor, rgb_small
from workers.engines.onnx_file import OnnxFile, Output, normalised, sigmoid
from workers.weights import embedded_card, onnx_cards
from workers.weights.onnx_cards import CARDS, Activation

MEAN = np.array([0.485, 0.456, 0.406]).reshape(3, 1, 1)
DEVIATION = np.array([0.229, 0.224, 0.225]).reshape(3, 1, 1)


def engine(path: Path, size: str = "@96x64", card: str = "") -> OnnxFile:
    return OnnxFile(Options(), Settings(onnx=f"{card}{path}{size}"))


def matte_by_hand(path: Path, picture: Any) -> Tensor:
    """The first output of onnxruntime, for one input, without any of the engine's code."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (name,) = [value.name for value in session.get_inputs()]
    return np.asarray(session.run(None, {name: picture})[0], np.float32)


def test_a_file_without_a_card_matches_onnxruntime(onnx_weights: Path) -> None:
    frames = clip(160, 120, 3)
    for frame, result in zip(frames, run(engine(onnx_weights), frames), strict=True):
        picture = (rgb_small(frame, 96, 64) - MEAN) / DEVIATION
        expected = matte_by_hand(onnx_weights, picture[None].astype(np.float32))
        np.testing.assert_allclose(result.alpha, expected[0, 0], rtol=0, atol=1e-6)
        assert np.ptp(result.alpha) > 0.1


def test_the_size_is_read_from_the_file(tmp_path: Path) -> None:
    path = unet(tmp_path / "fixed.onnx", (128, 96), batch=1)
    fixed = engine(path, "")
    assert fixed.size == (128, 96)
    assert run(fixed, clip(160, 120, 1))[0].alpha.shape == (96, 128)
    assert engine(path, "@128x96").size == (128, 96)
    with pytest.raises(UsageError, match="has an input of 128x96, which cannot be changed to 96x64"):
        engine(path)
    half = unet(tmp_path / "half.onnx", ("width", 96))
    assert engine(half, "").size == (512, 96)
    with pytest.raises(UsageError, match="has an input of anyx96"):
        engine(half)


def test_a_file_of_any_size_gets_that_of_its_card(tmp_path: Path) -> None:
    assert engine(unet(tmp_path / "u2netp.onnx"), "").size == (320, 320)
    assert engine(unet(tmp_path / "unknown.onnx"), "").size == (512, 512)


def test_channels_may_come_last(tmp_path: Path, onnx_weights: Path) -> None:
    frames = clip(160, 120, 1)
    (last,) = run(engine(unet(tmp_path / "nhwc.onnx", channels_last=True)), frames)
    (first,) = run(engine(onnx_weights), frames)
    np.testing.assert_allclose(last.alpha, first.alpha, rtol=0, atol=1e-6)


def test_half_precision_is_supported(tmp_path: Path, onnx_weights: Path) -> None:
    frames = clip(160, 120, 1)
    (half,) = run(engine(unet(tmp_path / "half.onnx", dtype=np.float16)), frames)
    (exact,) = run(engine(onnx_weights), frames)
    assert half.alpha.dtype == np.float32
    np.testing.assert_allclose(half.alpha, exact.alpha, rtol=0, atol=0.01)


class Pictures(CalibrationDataReader):  # type: ignore[misc]
    """The frames by whose values a network is quantized."""

    def __init__(self) -> None:
        self._pictures = iter(rgb_small(frame, 96, 64) for frame in clip(160, 120, 4))

    def get_next(self) -> dict[str, Tensor] | None:
        picture = next(self._pictures, None)
        return None if picture is None else {"image": ((picture - MEAN) / DEVIATION)[None].astype(np.float32)}


def test_an_int8_network_loads_and_is_close(tmp_path: Path, onnx_weights: Path) -> None:
    path = tmp_path / "int8.onnx"
    quantize_static(str(onnx_weights), str(path), Pictures(), quant_format=QuantFormat.QDQ)
    frames = clip(160, 120, 2)
    for small, exact in zip(run(engine(path), frames), run(engine(onnx_weights), frames), strict=True):
        assert 0 < np.abs(small.alpha - exact.alpha).mean() < 0.03


def test_logits_get_a_sigmoid(tmp_path: Path) -> None:
    logits, alpha = unet(tmp_path / "l.onnx", last="", gain=3), unet(tmp_path / "a.onnx", gain=3)
    frames = clip(160, 120, 1)
    assert engine(logits).output.logits
    assert not engine(alpha).output.logits
    (by_us,), (by_graph,) = run(engine(logits), frames), run(engine(alpha), frames)
    np.testing.assert_allclose(by_us.alpha, by_graph.alpha, rtol=0, atol=1e-6)


def test_a_card_inside_the_file_is_used_unless_another_is_chosen(tmp_path: Path) -> None:
    """Its mean, deviation and activation: without it, these logits would be taken for alpha."""
    card = replace(CARDS["unit"], output="matte", activation=Activation.SIGMOID)
    path = unet(tmp_path / "u2netp.onnx", last="", gain=0.01)
    model = onnx.load(str(path))
    helper.set_model_props(model, embedded_card.dumped(card))
    onnx.save(model, str(path))
    assert engine(path).output == Output("matte", logits=True)
    assert not engine(path, card="unit=").output.logits
    (frame,) = clip(160, 120, 1)
    logits = matte_by_hand(path, rgb_small(frame, 96, 64)[None])[0, 0]
    (result,) = run(engine(path), [frame])
    np.testing.assert_allclose(result.alpha, sigmoid(logits), rtol=0, atol=1e-6)


def test_an_output_near_the_range_of_alpha_is_alpha(tmp_path: Path) -> None:
    """Such as one that was trained without an activation: it is clipped."""
    path = unet(tmp_path / "n.onnx", last="", gain=0.01)
    loaded = engine(path)
    (result,) = run(loaded, clip(160, 120, 1))
    assert not loaded.output.logits
    assert result.alpha.min() == 0.0
    assert 0.0 < result.alpha.max() < 1.0


def test_the_card_decides_where_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = unet(tmp_path / "n.onnx", last="", gain=0.05)
    card = replace(CARDS["unit"], activation=Activation.SIGMOID)
    monkeypatch.setitem(onnx_cards.CARDS, "mine", card)
    assert engine(path, card="mine=").output.logits
    assert not engine(unet(tmp_path / "l.onnx", last="", gain=9), card="u2netp=").output.logits


def several_outputs(path: Path) -> Path:
    """A colour picture, a matte of half the size, two mattes of the full size, and a score."""

    def reduced(target: str, function: str) -> Any:
        return helper.make_node(function, ["image"], [target], axes=[1], keepdims=1)

    nodes = [
        helper.make_node("Identity", ["image"], ["colour"]),
        reduced("matte", "ReduceMean"),
        helper.make_node("AveragePool", ["matte"], ["small"], kernel_shape=[2, 2], strides=[2, 2]),
        reduced("other", "ReduceMax"),
        helper.make_node("ReduceMean", ["image"], ["score"], axes=[2, 3], keepdims=0),
    ]
    full = (1, 1, 64, 96)
    outputs = [
        value("colour", 1, 3, 64, 96), value("small", 1, 1, 32, 48), value("matte", *full), value("other", *full),
        value("score", 1, 3),
    ]  # fmt: skip
    return write(path, nodes, [value("image", 1, 3, 64, 96)], outputs)


def test_the_matte_is_the_first_of_the_largest_outputs(tmp_path: Path) -> None:
    path = several_outputs(tmp_path / "many.onnx")
    assert engine(path, "").output.name == "matte"
    (result,) = run(engine(path, "", "unit="), clip(96, 64, 1))
    expected = rgb_small(clip(96, 64, 1)[0], 96, 64).mean(axis=0)
    np.testing.assert_allclose(result.alpha, expected, rtol=0, atol=1e-6)


def identity(path: Path, *inputs: Any, output: Any = None) -> Path:
    """A network that returns its first input."""
    result = output or helper.make_tensor_value_info("result", inputs[0].type.tensor_type.elem_type, None)
    return write(path, [helper.make_node("Identity", [inputs[0].name], ["result"])], list(inputs), [result])


PICTURE = ("image", 1, 3, 64, 96)
WRONG = {
    "two inputs": (
        [value(*PICTURE), value("state", 1, 16, 8, 8)],
        r"must have one input, a picture, but has 2: image float \(1, 3, 64, 96\); state",
    ),
    "bytes": ([value(*PICTURE, kind=TensorProto.UINT8)], r"needs an input of floats .* image uint8 \(1, 3, 64, 96\)"),
    "one channel": ([value("image", 1, 1, 64, 96)], "needs 3 colour channels"),
    "three dimensions": ([value("image", 3, 64, 96)], "needs an input of floats with 4 dimensions"),
    "a batch": ([value("image", 4, 3, 64, 96)], "needs a batch of one picture"),
    "no matte": ([value(*PICTURE)], r"no output that is a matte .* has: result float"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_other_networks_are_refused(tmp_path: Path, wrong: str) -> None:
    inputs, message = WRONG[wrong]
    path = identity(tmp_path / "n.onnx", *inputs)
    with pytest.raises(WeightsError, match=message) as caught:
        engine(path, "")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_network_are_refused(tmp_path: Path, onnx_weights: Path) -> None:
    for content in (b"", b"these are no weights", onnx_weights.read_bytes()[:-200], bytes(1000)):
        path = tmp_path / "n.onnx"
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="is not an ONNX file, or is truncated"):
            engine(path)
    with pytest.raises(WeightsError, match="does not exist"):
        engine(tmp_path / "none.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(WeightsError, match="is a folder"):
        engine(tmp_path / "folder.onnx")


def test_weights_in_another_file_are_used_or_missed(tmp_path: Path, onnx_weights: Path) -> None:
    path, frames = tmp_path / "n.onnx", clip(160, 120, 1)
    model = onnx.load(str(onnx_weights))
    onnx.save(model, str(path), save_as_external_data=True, location="n.bin", size_threshold=100)
    np.testing.assert_array_equal(run(engine(path), frames)[0].alpha, run(engine(onnx_weights), frames)[0].alpha)
    (tmp_path / "n.bin").unlink()
    with pytest.raises(WeightsError, match=r"has its weights in n\.bin, which must be in the same folder"):
        engine(path)


def test_versions_and_operators_that_the_runtime_does_not_have_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"needs a newer version of onnxruntime .*: opset 99"):
        engine(unet(tmp_path / "new.onnx", opset=99))
    with pytest.raises(WeightsError, match=r"cannot be run by onnxruntime .*Unknowable"):
        engine(unet(tmp_path / "odd.onnx", last="Unknowable"))


def test_a_size_that_the_network_cannot_process_is_named(tmp_path: Path) -> None:
    """The shape that it reshapes to is fixed, although its input is not."""
    path = several_outputs(tmp_path / "n.onnx")
    model = onnx.load(str(path))
    shape = helper.make_tensor("shape", TensorProto.INT64, [4], [1, 3, 64, 96])
    model.graph.initializer.append(shape)
    model.graph.node[0].CopyFrom(helper.make_node("Reshape", ["image", "shape"], ["colour"]))
    for number in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[number].dim_param = f"side{number}"
    onnx.save(model, str(path))
    with pytest.raises(WeightsError, match="fails with a picture of 64x64"):
        engine(path, "@64x64")


def test_nan_is_refused(tmp_path: Path) -> None:
    path = unet(tmp_path / "n.onnx", last="Log")  # of negative values
    with pytest.raises(WeightsError, match="its output matte is NaN or Inf"):
        engine(path)


def test_nan_in_a_frame_is_an_engine_error(tmp_path: Path) -> None:
    """Finite for the drawn picture at load, 1/0 for a black one."""
    nodes = [
        helper.make_node("ReduceMax", ["image"], ["bright"], axes=[1], keepdims=1),
        helper.make_node("Div", ["bright", "bright"], ["matte"]),
    ]
    ends = [value(*PICTURE)], [value("matte", 1, 1, 64, 96)]
    loaded = engine(write(tmp_path / "n.onnx", nodes, *ends), "", "unit=")
    (frame,) = clip(96, 64, 1)
    black = frame.with_pixels(np.concatenate([np.full((64, 96), 16), np.full((32, 96), 128)]).astype(np.uint8))
    with pytest.raises(EngineError, match="NaN or Inf"):
        run(loaded, [black])


@pytest.mark.parametrize(("value", "alpha"), [(-np.inf, 0.0), (-200.0, 0.0), (0.0, 0.5), (200.0, 1.0), (np.inf, 1.0)])
def test_extreme_logits_have_an_alpha(value: float, alpha: float) -> None:
    assert sigmoid(np.array([[value]], np.float32))[0, 0] == pytest.approx(alpha, abs=1e-12)


def test_other_failures_are_engine_errors(onnx_weights: Path) -> None:
    with pytest.raises(EngineError, match="onnx"):
        engine(onnx_weights).infer([np.zeros((1, 4, 64, 96), np.float32)], [None])


def test_without_weights_the_setting_is_named() -> None:
    with pytest.raises(WeightsError, match="MATTEBOX_ONNX"):
        OnnxFile(Options(), Settings())


@pytest.mark.long
def test_memory_does_not_grow(onnx_weights: Path) -> None:
    def resident_bytes() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    if not Path("/proc/self/statm").exists():
        pytest.skip("only Linux tells a process's memory here")
    loaded, (frame,) = engine(onnx_weights, "@256x256"), clip(160, 120, 1)
    run(loaded, [frame] * 50)
    before = resident_bytes()
    for _ in range(10):
        run(loaded, [frame] * 20)
    grown = resident_bytes() - before
    assert grown < 200 * 256 * 256  # a quarter of the alphas of these frames


PUBLISHED = {
    "u2net": (320, True, MEAN, DEVIATION),
    "u2netp": (320, True, MEAN, DEVIATION),
    "u2net-human": (320, True, MEAN, DEVIATION),
    "silueta": (320, True, MEAN, DEVIATION),
    "isnet": (1024, True, 0.5, 1.0),
    "birefnet-lite": (1024, False, MEAN, DEVIATION),
    "ben2": (1024, False, 0.0, 1.0),
    "rmbg-1.4": (1024, False, 0.5, 1.0),
    "rmbg-2.0": (1024, False, MEAN, DEVIATION),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_card_normalises_as_published(name: str) -> None:
    """By the definitions of the networks' authors, from pictures of 8 bits."""
    side, by_maximum, mean, deviation = PUBLISHED[name]
    picture = np.random.default_rng(1).integers(0, 201, (3, 32, 32)).astype(np.float64)
    expected = (picture / (picture.max() if by_maximum else 255.0) - mean) / deviation
    actual = normalised((picture / 255).astype(np.float32), CARDS[name])
    assert CARDS[name].side_px == side
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


def test_every_published_network_has_its_definition_here() -> None:
    assert set(PUBLISHED) == {name for name, card in CARDS.items() if card.licence}


def test_a_black_picture_is_normalised() -> None:
    assert np.isfinite(normalised(np.zeros((3, 8, 8), np.float32), CARDS["u2netp"])).all()


@pytest.mark.parametrize(("name", "low", "high"), [("unit", 0, 1), ("signed", -1, 1), ("isnet", -0.5, 0.5)])
def test_the_range_of_the_input(name: str, low: float, high: float) -> None:
    ends = normalised(np.array([0.0, 1.0], np.float32).reshape(1, 1, 2).repeat(3, axis=0), CARDS[name])
    assert (ends.min(), ends.max()) == (low, high)


@pytest.mark.long
def test_another_runtime_gives_the_same_mattes(onnx_weights: Path) -> None:
    pytest.importorskip("openvino")
    frames, weights = clip(160, 120, 2), f"{onnx_weights}@96x64"
    other = OnnxFile(Options(), Settings(onnx=weights, runtime="openvino", half=False))
    assert other.device == "cpu (openvino, float32)"
    for expected, result in zip(run(engine(onnx_weights), frames), run(other, frames), strict=True):
        np.testing.assert_allclose(result.alpha, expected.alpha, rtol=0, atol=1e-5)
