"""Exports with their check. The network is one convolution, in torch and in a file, or a BiRefNet (slow)."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

pytest.importorskip("torch")

import torch
from safetensors.torch import save_file
from torch import nn

from stream.errors import DiskError, UsageError, WeightsError
from stream.settings import Settings
from stream.sinks.parts.partial import Partial
from tests.commands.in_process import mattebox_here
from tests.media import TALK, read
from tests.onnx_networks import value, write
from tests.workers.models.birefnet import deterministic
from tests.workers.models.birefnet.networks import lite, run
from workers.device.tensors import rgb_small
from workers.export import pictures
from workers.export.birefnet import CARD, export, folder_beside, published
from workers.export.check import BOUNDS, Difference, Report, alternately, difference
from workers.export.precision import Precision
from workers.weights.imagenet import DEVIATION, MEAN

WIDTH, HEIGHT = 64, 32


def convolution(path: Path, gain: float = 1.0) -> nn.Module:
    """A network, and the file of one whose weights are `gain` times as large."""
    torch.manual_seed(0)
    network = nn.Conv2d(3, 1, 3, padding=1)
    weight = numpy_helper.from_array(gain * network.state_dict()["weight"].numpy(), "w")
    bias = numpy_helper.from_array(network.state_dict()["bias"].numpy(), "b")
    node = helper.make_node("Conv", ["input", "w", "b"], ["logits"], pads=[1] * 4, name="conv")
    inputs, outputs = [value("input", "batch", 3, HEIGHT, WIDTH)], [value("logits", "batch", 1, HEIGHT, WIDTH)]
    write(path, [node], inputs, outputs, [weight, bias], 19)
    return network


def export_convolution(folder: Path, precision: Precision, gain: float = 1.0) -> Report:
    """To out.onnx."""
    partial, seen = Partial(folder / "out.onnx"), pictures.drawn(WIDTH, HEIGHT)
    with folder_beside(partial) as inside:
        exact = inside / "fp32.onnx"
        network = convolution(exact, gain)
        return published(network, exact, precision, CARD, partial, seen, Settings(), lambda _: None)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_file_within_the_bounds_is_published(tmp_path: Path, precision: Precision) -> None:
    report = export_convolution(tmp_path, precision)
    assert [path.name for path in tmp_path.iterdir()] == ["out.onnx"]
    assert report.bytes == (tmp_path / "out.onnx").stat().st_size
    assert report.difference.within(BOUNDS[precision])
    text = "\n".join(report.lines(tmp_path / "out.onnx", precision))
    assert f"out.onnx: {precision}, 0 MB" in text
    assert "(allowed: " in text


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_file_outside_of_the_bounds_is_refused_and_removed(tmp_path: Path, precision: Precision) -> None:
    with pytest.raises(WeightsError, match=f"in {precision} the alpha differs from torch by .* allowed are .*Nothing"):
        export_convolution(tmp_path, precision, gain=5)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept_if_the_new_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out.onnx").write_text("before")
    with pytest.raises(WeightsError):
        export_convolution(tmp_path, "fp16", gain=5)
    assert (tmp_path / "out.onnx").read_text() == "before"


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    partial = Partial(tmp_path / "out.onnx")
    with pytest.raises(DiskError, match=r"cannot write .*out\.onnx: the disk is full"), folder_beside(partial):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_the_card_inside_decides_how_the_engine_uses_the_file(tmp_path: Path) -> None:
    """The logits of this network are within the range that is taken for alpha without a card."""
    export_convolution(tmp_path, "fp32")
    out = tmp_path / "m.mkv"
    weights = ["--engine", "onnx", "--weights", tmp_path / "out.onnx"]
    done = mattebox_here("file", TALK, "-o", out, *weights, "--view", "matte", "--temporal", "off", "--end", "0.1")
    assert done.returncode == 0, done.stderr
    assert "used with its own card, BiRefNet" in done.stderr
    check_by_hand(tmp_path / "out.onnx", out)


def check_by_hand(network: Path, mattes: Path) -> None:
    """Compare a clip's mattes with what onnxruntime computes for its frames."""
    import cv2

    session = onnxruntime.InferenceSession(str(network), providers=["CPUExecutionProvider"])
    height, width = session.get_inputs()[0].shape[2:]
    mean, deviation = (np.array(values).reshape(3, 1, 1) for values in (MEAN, DEVIATION))
    found = read(mattes)
    for frame, matte in zip(read(TALK, len(found)), found, strict=True):
        picture = ((rgb_small(frame, width, height) - mean) / deviation)[None].astype(np.float32)
        (logits,) = session.run(None, {"input": picture})
        alpha = cv2.resize(1 / (1 + np.exp(-logits[0, 0])), (frame.width, frame.height))
        levels = (matte.planes()[0].astype(float) - 16) / 219
        assert np.abs(levels - alpha).mean() < 0.01
        assert alpha.std() > 0.01


@pytest.mark.parametrize(
    ("output", "precision", "message"),
    [("out.bin", "fp32", "must end in .onnx"), ("out.onnx", "int8", "specify a video like yours with --clip")],
)
def test_an_export_that_cannot_work_ends_before_weights_are_read(
    tmp_path: Path, output: str, precision: Precision, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        export("lite", precision, tmp_path / output, None, Settings(offline=True, cache_dir=tmp_path), print)


@pytest.fixture(scope="module")
def lite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`birefnet-lite` with drawn weights, in float32. torch takes minutes to write it."""
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("lite")
    weights, file = folder / "lite.safetensors", folder / "lite.onnx"
    tensors = {key: torch.from_numpy(array) for key, array in deterministic.state_dict("lite").items()}
    save_file(tensors, weights)
    done = mattebox_here("models", "export", f"{weights}@128x96", "-o", file)
    assert done.returncode == 0, done.stderr
    assert "lite.onnx: fp32" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["lite.onnx", "lite.safetensors"]
    return file


@pytest.mark.slow
def test_birefnet_lite_is_that_of_torch_with_any_batch(lite_file: Path) -> None:
    """It is exported with a batch of two, and runs on two images and on one."""
    model = onnx.load(str(lite_file))
    assert {node.domain for node in model.graph.node} == {""}
    assert sum(node.op_type == "DeformConv" for node in model.graph.node) > 0
    session = onnxruntime.InferenceSession(str(lite_file), providers=["CPUExecutionProvider"])
    for batch in (2, 1):
        images = torch.randn(batch, 3, 96, 128, generator=torch.Generator().manual_seed(batch))
        (logits,) = session.run(None, {"input": images.numpy()})
        assert np.abs(logits - run(lite(), images).numpy()).max() <= 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "ratio"), [("fp16", 1.9), ("int8", 2.3)])
def test_birefnet_lite_is_converted_and_runs_in_the_engine(
    lite_file: Path, tmp_path: Path, precision: Precision, ratio: float
) -> None:
    partial, seen = Partial(tmp_path / "lite.onnx"), pictures.of_clip(TALK, 128, 96, Settings())
    with folder_beside(partial) as folder:
        copied = Path(shutil.copy(lite_file, folder / "fp32.onnx"))
        report = published(lite(), copied, precision, CARD, partial, seen, Settings(), lambda _: None)
    assert report.smaller >= ratio
    assert report.difference.within(BOUNDS[precision])
    out = tmp_path / "m.mkv"
    words = ["--weights", partial.final, "--view", "matte", "--temporal", "off", "--end", "0.1"]
    done = mattebox_here("file", TALK, "-o", out, "--engine", "onnx", *words)
    assert done.returncode == 0, done.stderr
    check_by_hand(partial.final, out)


def test_differences_are_absolute_and_never_within_bounds_if_nan() -> None:
    zero, half = np.zeros((2, 2), np.float32), np.array([[0.5, 0], [0, -0.1]], np.float32)
    found = difference([zero, half], [zero, zero])
    assert (found.mean, found.largest) == pytest.approx((0.075, 0.5))
    assert str(found) == "0.075 on average, 0.5 at most"
    assert found.within(Difference(0.08, 0.6))
    assert not found.within(Difference(0.08, 0.4))
    assert not found.within(Difference(0.07, 0.6))
    assert not difference([np.full((2, 2), np.nan, np.float32)], [zero]).within(Difference(9, 9))


def test_the_works_that_are_compared_take_turns() -> None:
    calls: list[str] = []
    assert len(alternately([lambda: calls.append("a"), lambda: calls.append("b")], rounds=2)) == 2
    assert calls == ["a", "b"] * 3
