"""The processor's name, and the flags that decide in which precision it computes fast."""

import functools
import platform
from pathlib import Path

BFLOAT16 = frozenset({"amx_bf16", "avx512_bf16"})
"""Flags of processors that multiply matrices in bfloat16. Others would emulate it."""

_TOLD = (*sorted(BFLOAT16), "avx512f", "avx2")


@functools.cache
def flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The flags that Linux lists for the first core; none elsewhere."""
    return frozenset(_field(cpuinfo, "flags").split())


@functools.cache
def name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """To be displayed. Virtual machines hide which model they run on, but not what it can do."""
    model = _field(cpuinfo, "model name") or platform.processor() or platform.machine()
    return " ".join([model, *(flag for flag in _TOLD if flag in flags(cpuinfo))])


def _field(cpuinfo: Path, field: str) -> str:
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == field), "")
