from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from stream.errors import UsageError
from tests.workers.models.birefnet.networks import lite
from workers.models.birefnet.export import compare, export_onnx


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(96, 64), (160, 224)])
def test_the_exported_network_matches_torch(tmp_path: Path, width: int, height: int) -> None:
    """With any batch: it is exported with a batch of two, and runs on two images and on one."""
    import onnx
    import onnxruntime

    path = tmp_path / "lite.onnx"
    assert export_onnx(lite(), width, height, path) <= 1e-3
    assert compare(lite(), width, height, path) <= 1e-3
    assert [p.name for p in tmp_path.iterdir()] == ["lite.onnx"]
    model = onnx.load(str(path))
    assert {node.domain for node in model.graph.node} == {""}
    assert sum(node.op_type == "DeformConv" for node in model.graph.node) > 0
    one = torch.zeros(1, 3, height, width)
    (logits,) = onnxruntime.InferenceSession(str(path)).run(None, {"input": one.numpy()})
    assert abs(torch.from_numpy(logits) - lite()(one)).max() <= 1e-3


def test_a_size_that_the_network_cannot_process_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="multiples of 32"):
        export_onnx(lite(), 100, 64, tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []
