"""The number of processor cores that this process may use."""

import math
import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of this container, in version 2 of cgroups


def available(quota_file: Path = _QUOTA) -> int:
    """The cores that this process may run on, but no more than the quota of its container allows. At least 1.

    quota_file: has two numbers of microseconds, the processor time in each period and the period; the first is "max"
    without a quota.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, _quota(quota_file)))


def _quota(file: Path) -> int:
    """Cores, rounded up; a large number without a quota."""
    try:
        time_us, period_us = file.read_text().split()
        return math.ceil(int(time_us) / int(period_us))
    except (OSError, ValueError):
        return 1 << 16
