"""The engine `onnx` on the command line."""

from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from PIL import Image

from tests.commands.in_process import mattebox_here
from tests.media import TALK, read
from tests.onnx_networks import unet
from workers.device.tensors import rgb_small


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unet(tmp_path_factory.mktemp("onnx") / "unet.onnx")


def test_a_file_is_matted_frame_by_frame(network: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.mkv"
    words = ["--weights", f"{network}@96x64", "--view", "matte", "--temporal", "off", "--end", "0.2"]
    done = mattebox_here("file", TALK, "-o", out, *words)
    assert done.returncode == 0, done.stderr
    assert "unet.onnx is your own file" in done.stderr
    assert "engine onnx on cpu: requested" in done.stderr
    session = onnxruntime.InferenceSession(str(network), providers=["CPUExecutionProvider"])
    mean, deviation = (np.array(v).reshape(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    frames = read(out)
    assert len(frames) == 6
    for frame, matte in zip(read(TALK, 6), frames, strict=True):
        picture = ((rgb_small(frame, 96, 64) - mean) / deviation)[None].astype(np.float32)
        alpha = session.run(None, {"image": picture})[0][0, 0]
        expected = cv2.resize(alpha, (frame.width, frame.height), interpolation=cv2.INTER_LINEAR)
        levels = (matte.planes()[0].astype(float) - 16) / 219
        assert np.abs(levels - expected).mean() < 0.01


def test_a_picture_is_matted(network: Path, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)).save(tmp_path / "p.png")
    out = tmp_path / "cut.png"
    words = ["--weights", f"unit={network}@64x64", "--background", "transparent"]
    done = mattebox_here("file", tmp_path / "p.png", "-o", out, *words)
    assert done.returncode == 0, done.stderr
    assert np.ptp(np.asarray(Image.open(out))[..., 3]) > 0


def test_the_setting_selects_the_weights(network: Path, tmp_path: Path) -> None:
    words = ["file", TALK, "-o", tmp_path / "m.mkv", "--engine", "onnx", "--end", "0.1"]
    done = mattebox_here(*words, env={"MATTEBOX_ONNX": f"{network}@64x64"})
    assert done.returncode == 0, done.stderr
    done = mattebox_here(*words, "-y")
    assert done.returncode == 2
    assert "onnx has no default weights; specify them with --weights or MATTEBOX_ONNX" in done.stderr


@pytest.mark.parametrize(
    ("weights", "code", "message"),
    [
        ("none.onnx", 1, "none.onnx does not exist"),
        (f"{__file__}.onnx@100x100", 2, "both sides must be multiples of 32"),
        ("rmbg-1.4", 2, "rmbg-1.4 cannot be downloaded here"),
        ("isnet", 1, "mattebox models pull onnx:isnet"),
    ],
)
def test_weights_that_cannot_be_used_are_one_line(weights: str, code: int, message: str, tmp_path: Path) -> None:
    offline = {"MATTEBOX_OFFLINE": 1, "MATTEBOX_CACHE_DIR": tmp_path}
    done = mattebox_here("file", TALK, "-o", tmp_path / "o.mp4", "--weights", weights, env=offline)
    assert done.returncode == code
    assert message in done.stderr.splitlines()[-1]
    assert not (tmp_path / "o.mp4").exists()


def test_networks_of_birefnet_keep_their_engine(tmp_path: Path) -> None:
    """`auto` selects the engine that the weights are for."""
    for weights, engine in (("lite", "birefnet"), ("me/mine", "birefnet"), ("u2netp", "onnx")):
        offline = {"MATTEBOX_OFFLINE": 1, "MATTEBOX_CACHE_DIR": tmp_path}
        done = mattebox_here("file", TALK, "-o", tmp_path / "o.mp4", "--weights", weights, env=offline)
        assert f"{engine}:{weights}" in done.stderr.splitlines()[-1]
