from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from stream.errors import UsageError
from tests.workers.models.birefnet.networks import lite
from workers.models.birefnet.export import write_onnx


def test_a_size_that_the_network_cannot_process_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="multiples of 32"):
        write_onnx(lite(), 100, 64, tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []
