"""How a client of WebRTC sends its offer and gets the answer: by HTTP, or in another way."""

import contextlib
from typing import Protocol

from aiortc import RTCIceServer

from stream.errors import RemoteError
from stream.rtc.whip_http import WhipHttp

IceServers = list[RTCIceServer]


class Signalling(Protocol):
    """Of one session at a time. Used on the client's event loop."""

    async def servers(self) -> IceServers:
        """The ICE servers to use in the first offer. Never raises RemoteError."""
        ...

    async def offer(self, sdp: str) -> tuple[str, IceServers]:
        """Start a session. Returns the answer, and the ICE servers that were named with it. Raises RemoteError."""
        ...

    async def end(self) -> None:
        """End the session, if there is one. Never raises RemoteError. Idempotent."""
        ...


class HttpSignalling:
    """Of WHIP (RFC 9725) and WHEP. url: of the endpoint, http or https."""

    def __init__(self, url: str, http: WhipHttp) -> None:
        self._url, self._http = url, http
        self._session = ""

    async def servers(self) -> IceServers:
        with contextlib.suppress(RemoteError):  # many servers do not answer OPTIONS
            return await self._http.named_servers(await self._http.request("OPTIONS", self._url))
        return []

    async def offer(self, sdp: str) -> tuple[str, IceServers]:
        reply = await self._http.request("POST", self._url, sdp.encode())
        if reply.status not in (200, 201):
            raise self._http.refusal(reply)
        if location := reply.headers.get("Location"):
            self._session = self._http.resolve(reply.url, location)
        try:
            answer = reply.body.decode()
        except UnicodeDecodeError:
            raise RemoteError("the server's answer cannot be read") from None
        return answer, await self._http.named_servers(reply)

    async def end(self) -> None:
        session, self._session = self._session, ""
        if session:
            with contextlib.suppress(RemoteError):
                await self._http.request("DELETE", session)
