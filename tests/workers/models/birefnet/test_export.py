from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import numpy as np
import onnx
import onnxruntime

from stream.errors import UsageError
from tests.workers.models.birefnet.networks import lite, run
from workers.models.birefnet.export import write_onnx


@pytest.mark.slow
def test_the_exported_network_matches_torch(tmp_path: Path) -> None:
    """With any batch: it is exported with a batch of two, and runs on two images and on one."""
    path = tmp_path / "lite.onnx"
    write_onnx(lite(), 160, 224, path)
    assert [p.name for p in tmp_path.iterdir()] == ["lite.onnx"]
    model = onnx.load(str(path))
    assert {node.domain for node in model.graph.node} == {""}
    assert sum(node.op_type == "DeformConv" for node in model.graph.node) > 0
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch in (2, 1):
        images = torch.randn(batch, 3, 224, 160, generator=torch.Generator().manual_seed(batch))
        (logits,) = session.run(None, {"input": images.numpy()})
        assert np.abs(logits - run(lite(), images).numpy()).max() <= 1e-3


def test_a_size_that_the_network_cannot_process_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="multiples of 32"):
        write_onnx(lite(), 100, 64, tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []
