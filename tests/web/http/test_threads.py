import asyncio
import threading
import time
from collections.abc import Iterator

from tests.servers import asynctest
from web.http.threads import (
    in_lock_thread,
    in_network_thread,
    in_picture_thread,
    in_store_thread,
    in_thread,
    pieces,
)

KINDS = (in_thread, in_lock_thread, in_picture_thread, in_store_thread, in_network_thread)


@asynctest
async def test_work_of_one_kind_does_not_hold_up_another() -> None:
    for kind in KINDS:
        released = threading.Event()
        stuck = [asyncio.ensure_future(kind(released.wait)) for _ in range(40)]
        await asyncio.sleep(0)
        assert [await other(int, "7") for other in KINDS if other is not kind] == [7] * 4
        assert [piece async for piece in pieces(iter([b"a", b"b"]))] == [b"a", b"b"]
        released.set()
        await asyncio.gather(*stuck)


@asynctest
async def test_few_pictures_are_decoded_at_a_time() -> None:
    lock, running, numbers = threading.Lock(), 0, list[int]()

    def decode() -> None:
        nonlocal running
        with lock:
            running += 1
            numbers.append(running)
        time.sleep(0.01)
        with lock:
            running -= 1

    await asyncio.gather(*(in_picture_thread(decode) for _ in range(12)))
    assert max(numbers) == 2


@asynctest
async def test_a_cancelled_caller_waits_for_the_work() -> None:
    begun, released, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        released.wait()
        ended.set()

    caller = asyncio.create_task(in_thread(work))
    while not begun.is_set():
        await asyncio.sleep(0.001)
    caller.cancel()
    await asyncio.sleep(0.01)
    assert not caller.done()
    released.set()
    await asyncio.wait((caller,))
    assert caller.cancelled()
    assert ended.is_set()


@asynctest
async def test_an_error_while_reading_reaches_the_caller() -> None:
    def content() -> Iterator[bytes]:
        yield b"a"
        raise FileNotFoundError

    read = list[bytes]()
    try:
        async for piece in pieces(content()):
            read.append(piece)
    except FileNotFoundError:
        read.append(b"lost")
    assert read == [b"a", b"lost"]
