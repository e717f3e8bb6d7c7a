"""A camera out and its picture back on one connection, with real clients."""

import asyncio

import pytest

from tests.fakes import Unchanged
from tests.rtc import Camera, Client, live, number_in, until

pytestmark = pytest.mark.usefixtures("loopback")


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_pictures_come_back_in_order(codec: str) -> None:
    async def run() -> None:
        client = Client(Camera(), codec)
        async with live(client, Unchanged()) as video:
            await until(lambda: len(client.pictures) >= 25, what="pictures")
            assert video.changes == [("connected", "")]
            print(video.output.meters())
        numbers = [number_in(picture) for _, picture in client.pictures]
        assert numbers == sorted(numbers)
        assert video.changes[-1][0] == "closed"
        assert video.error is None

    asyncio.run(run())
