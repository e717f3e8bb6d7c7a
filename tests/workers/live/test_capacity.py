import sys
from types import ModuleType

import pytest

from workers.live import capacity


def test_memory_is_reported_while_another_thread_loads_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))  # the state in the middle of its import
    held = capacity.memory()
    assert held["memory_bytes"] > 0
    assert held["device_bytes"] == 0
