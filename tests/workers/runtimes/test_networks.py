"""Every runtime runs the same network with the same results, and keeps the protocol."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from stream.errors import EngineError
from stream.settings import Settings
from tests.onnx_networks import unet
from workers.runtimes import RUNTIMES, Array, Choice, Network, Precision, installed, load
from workers.runtimes.onnxruntime import open_session

SETTINGS = Settings(threads=1)
SHAPE = (1, 3, 48, 64)


def network(name: str, graph: Path | bytes, precision: Precision = Precision.FLOAT32) -> Network:
    if not installed(name):
        pytest.skip(f"{name} is not installed")
    return load(graph, Choice(name, precision), SETTINGS)


def picture(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> Array:
    return np.random.default_rng(seed).random(shape, np.float32)


def run(of: Network, given: Array) -> Array:
    (matte,) = of({of.inputs[0]: given}, of.outputs)
    return matte


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unet(tmp_path_factory.mktemp("fixed") / "unet.onnx", (SHAPE[3], SHAPE[2]), batch=1)


@pytest.mark.parametrize("name", RUNTIMES)
def test_results_are_those_of_the_network(name: str, file: Path) -> None:
    (expected,) = open_session(str(file), SETTINGS).run(None, {"image": picture()})
    assert expected.std() > 0.01
    np.testing.assert_allclose(run(network(name, file), picture()), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", RUNTIMES)
def test_neither_inputs_nor_earlier_results_are_modified(name: str, file: Path) -> None:
    of, given = network(name, file), picture(1)
    before, first = given.copy(), run(of, given)
    kept = first.copy()
    run(of, picture(2))
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize("name", RUNTIMES)
def test_threads_get_their_own_results(name: str, file: Path) -> None:
    of, given = network(name, file), [picture(seed) for seed in range(12)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda each: run(of, each), given))
    for result, each in zip(results, given, strict=True):
        np.testing.assert_array_equal(result, run(of, each))


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])  # OpenCV runs networks with whatever it gets
def test_a_wrong_input_is_an_engine_error_and_does_no_harm(name: str, file: Path) -> None:
    of = network(name, file)
    with pytest.raises(EngineError):
        run(of, picture(shape=(1, 5, 48, 64)))
    assert run(of, picture()).shape == (1, 1, 48, 64)


@pytest.mark.long
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_shapes_may_change_and_a_model_may_be_in_memory(name: str, tmp_path: Path) -> None:
    of = network(name, unet(tmp_path / "any.onnx").read_bytes())
    assert (of.inputs, of.outputs) == (("image",), ("matte",))
    for width in range(32, 64, 4):  # more shapes than stay compiled
        assert run(of, picture(shape=(1, 3, 16, width))).shape == (1, 1, 16, width)
    assert run(of, picture(shape=(1, 3, 16, 32))).shape == (1, 1, 16, 32)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_closed_network_cannot_be_called(name: str, file: Path) -> None:
    of = network(name, file)
    of.close()
    with pytest.raises(EngineError):
        run(of, picture())


def test_lower_precision_keeps_the_types(file: Path) -> None:
    exact, reduced = (network("openvino", file, precision) for precision in Precision)
    result = run(reduced, picture())
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, run(exact, picture()), rtol=0, atol=0.05)


@pytest.mark.long
def test_openvino_reports_nothing(tmp_path: Path) -> None:
    """It asks for the address of its vendor's server when it is imported, unless this is prevented."""
    pytest.importorskip("openvino")
    code = (
        "import socket, time; asked = []\n"
        "socket.getaddrinfo = lambda *args, **kwargs: asked.append(args) or []\n"
        "import workers.runtimes.openvino, threading\n"
        "[each.join(2) for each in threading.enumerate() if each is not threading.current_thread()]\n"
        "assert not asked, asked"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "intel").exists()
