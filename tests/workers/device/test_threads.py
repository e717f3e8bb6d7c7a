import os
import threading
from concurrent.futures import ThreadPoolExecutor

import cv2

from stream.settings import Settings
from workers.device.threads import apply, yield_to_others


def test_opencv_uses_one_thread() -> None:
    cv2.setNumThreads(4)
    apply(Settings())
    assert cv2.getNumThreads() == 1


def test_only_the_calling_thread_yields_and_may_do_so_twice() -> None:
    def yield_twice() -> tuple[int, int]:
        thread, before = threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0)
        yield_to_others()
        yield_to_others()
        return before, os.getpriority(os.PRIO_PROCESS, thread)

    own = os.getpriority(os.PRIO_PROCESS, 0)
    with ThreadPoolExecutor(1) as pool:
        before, after = pool.submit(yield_twice).result()
    assert after == min(19, before + 20)
    assert os.getpriority(os.PRIO_PROCESS, 0) == own
