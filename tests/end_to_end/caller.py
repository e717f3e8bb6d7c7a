"""A client over HTTP and WebRTC that offers a camera and keeps every picture that comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import av
import httpx
import numpy as np

from tests.rtc import Camera, Client


class Caller(Client):
    """One session on `http`'s server."""

    def __init__(self, http: httpx.AsyncClient, camera: Camera, codec: str = "VP8") -> None:
        super().__init__(camera, codec)
        self.http, self.id = http, ""

    async def call(self, **options: object) -> httpx.Response:
        body = {"sdp": await self.offer(), "type": "offer", "options": options}
        response = await self.http.post("/api/sessions", json=body, timeout=20)
        if response.status_code == 201:
            self.id = response.json()["id"]
            await self.take(response.json()["sdp"])
        return response

    async def change(self, **options: object) -> httpx.Response:
        return await self.http.patch(f"/api/sessions/{self.id}", json={"options": options})

    async def record(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.http.get(f"/api/sessions/{self.id}")).json()
        return found

    async def hang_up(self) -> None:
        await self.http.delete(f"/api/sessions/{self.id}")
        await self.close()


@asynccontextmanager
async def calling(url: str, camera: Camera, codec: str = "VP8", **options: object) -> AsyncIterator[Caller]:
    async with httpx.AsyncClient(base_url=url) as http:
        caller = Caller(http, camera, codec)
        try:
            response = await caller.call(**options)
            assert response.status_code == 201, response.text
            yield caller
        finally:
            await caller.close()
            await asyncio.sleep(0)


def patch(picture: av.VideoFrame, x: float, y: float, side_px: int = 8) -> tuple[int, ...]:
    """Mean RGB of a square at a point given as shares of width and height."""
    image = picture.to_ndarray(format="rgb24")
    column, row = round(x * image.shape[1]), round(y * image.shape[0])
    return tuple(int(v) for v in image[row : row + side_px, column : column + side_px].reshape(-1, 3).mean(0))


def apart(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """The largest difference between two colours in any channel, in levels."""
    return int(np.abs(np.subtract(a, b)).max())
