import subprocess
import sys

import pytest

LIMITS = """
import resource, sys
from stream.serve.descriptors import raise_limit
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(raise_limit(wanted), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "reached"), [(256, 2000, 1500, 1500), (256, 1000, 1500, 1000), (512, 1000, 300, 512)]
)
def test_the_limit_is_raised_within_the_hard_limit_and_never_lowered(
    soft: int, hard: int, wanted: int, reached: int
) -> None:
    """In a process of its own: a hard limit that was lowered stays so."""
    argv = [sys.executable, "-c", LIMITS, str(soft), str(hard), str(wanted)]
    printed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert printed == [str(reached), str(reached), str(hard)]
