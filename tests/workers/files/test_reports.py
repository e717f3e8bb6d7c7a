import asyncio
import errno
from types import SimpleNamespace
from typing import Any

import pytest

from stream.errors import UnreadableMedia
from workers.files.reports import of_failure

SOURCE = "/srv/mattebox/storage/jobs/1/source"


class Failures:
    """Records the failures that are reported, as the job store would."""

    def __init__(self) -> None:
        self.details: list[str] = []

    async def fail(self, task: object, code: str, detail: str, retry: bool) -> None:
        self.details.append(detail)


@pytest.mark.parametrize(
    ("exc", "detail"),
    [
        (UnreadableMedia(f"{SOURCE} is not a video"), "source is not a video"),
        (ValueError(f"[Errno 22] Invalid argument: '{SOURCE}'"), "ValueError: [Errno 22] Invalid argument: 'source'"),
        (OSError(errno.ENOSPC, "no space", SOURCE), "cannot write its files: the disk is full"),
        (OSError(errno.EBADF, "bad descriptor", SOURCE), "OSError: [Errno 9] bad descriptor: 'source'"),
    ],
)
def test_a_jobs_error_has_no_paths_but_the_log_does(
    exc: Exception, detail: str, caplog: pytest.LogCaptureFixture
) -> None:
    store: Any = Failures()
    task: Any = SimpleNamespace(job=SimpleNamespace(id="1"), name="plan")
    report: Any = of_failure(task, exc, store)
    asyncio.run(report(task))
    assert store.details == [detail]
    assert SOURCE in caplog.text or "its files" in detail
