"""The live videos of a worker: started by offers, then viewed, changed and ended by commands.

Runs on the event loop. A video whose engine is not loaded yet starts without it, and shows its background meanwhile.
"""

import asyncio
import logging
from contextlib import suppress

from stream.errors import SdpError, UsageError, without_paths
from stream.records.live import NO_STREAM, USAGE, Answer, Command, Meters, Offer, Session
from stream.records.options import Options
from stream.settings import Settings
from workers.live.pool import Engines
from workers.live.sessions import Sessions
from workers.live.video import LiveVideo

_log = logging.getLogger(__name__)


class ActiveVideos:
    """The worker's videos by session id."""

    def __init__(self, settings: Settings, engines: Engines, sessions: Sessions) -> None:
        self._settings, self._engines, self._sessions = settings, engines, sessions
        self._videos: dict[str, LiveVideo] = {}

    def __len__(self) -> int:
        return len(self._videos)

    def meters(self) -> dict[str, Meters]:
        """Of the time since the last call."""
        return {session_id: video.meters() for session_id, video in self._videos.items()}

    async def start(self, session: Session, offer: Offer) -> None:
        """Make the connection, or refuse the offer. The video is counted immediately, before the first await."""
        try:
            engine = self._engines.ready(session.options)
        except UsageError as exc:
            await self._sessions.refuse(session, Answer(problem=USAGE, detail=without_paths(str(exc))))
            return
        video = LiveVideo(session, self._settings, engine, self._connection_changed)
        self._videos[session.id] = video
        self._sessions.hold(session)
        await self._sessions.answer(session, video.answer(offer.sdp))
        if engine is None:
            await self._engines.provide(video, session.options, f"video {video.id}")

    async def obey(self, command: Command) -> None:
        """Execute a command."""
        session_id = command.session
        video = self._videos.get(session_id)
        match command.kind:
            case "view":
                await self._add_viewer(session_id, command.text)
            case "options" if video is not None and command.options is not None:
                await self._change(video, command.options)
            case "candidates":
                for each in list(self._videos.values()):
                    with suppress(SdpError):
                        await each.add_candidates(session_id, command.text)
            case "end" if video is not None:
                await video.end(command.reason)
            case "end":
                for each in list(self._videos.values()):
                    await each.end_viewer(session_id, command.reason)

    async def end(self, session_id: str, reason: str) -> None:
        """End a video. Does nothing if no video has that id."""
        if (video := self._videos.get(session_id)) is not None:
            await video.end(reason)

    async def end_all(self, reason: str) -> None:
        await asyncio.gather(*(video.end(reason) for video in list(self._videos.values())))

    async def _add_viewer(self, session_id: str, sdp: str) -> None:
        viewer = await self._sessions.accept_viewer(session_id)
        if viewer is None:
            return
        video = self._videos.get(viewer.of)
        if video is not None and not video.reason:  # it is not ending
            await self._sessions.answer(viewer, video.view(session_id, sdp, stacked=viewer.alpha == "stacked"))
        else:
            await self._sessions.refuse(viewer, Answer(problem=NO_STREAM, detail="the stream has ended"))

    async def _change(self, video: LiveVideo, options: Options) -> None:
        try:
            engine = self._engines.ready(options)
        except UsageError as exc:
            video.notice = str(exc)
            return
        await video.change(options, engine)
        if engine is None:
            await self._engines.provide(video, options, f"video {video.id}")

    def _connection_changed(self, session_id: str, state: str, reason: str) -> None:
        if state == "closed":
            self._videos.pop(session_id, None)
        self._sessions.connection_changed(session_id, state, reason, self.end)
