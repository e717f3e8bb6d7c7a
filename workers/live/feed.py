"""One feed of a worker: a live source, its matte, and its outputs, from its start until it is ended.

Runs on the event loop; frames are processed in the threads of `pump`. Knows nothing about Redis.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from statistics import median

from stream.address import Address
from stream.errors import MatteboxError, NoVideoStream, UsageError, without_paths
from stream.fetch.live_urls import DEVICE, STREAM
from stream.pump import pump
from stream.records.feeds import ClaimedFeed, FeedOutput, FeedReport, OutputReport
from stream.records.live import FeedCounts, Meters
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks.live.fan_out import FanOut
from stream.sinks.live.spec import OutputSpec, OutputStatus
from stream.sources.base import SourceOptions, SourceState
from stream.sources.live.network import NetworkSource
from stream.sources.live.protocols import PROTOCOLS
from workers.engines.base import Engine
from workers.live.matte import LiveMatte
from workers.live.rates import Rates
from workers.live.streams import Streams
from workers.live.thumbnail import Thumbnail

_log = logging.getLogger(__name__)
_JOIN_S = 5.0

Ended = Callable[[str], None]
"""Called on the event loop, with the feed's id, when a feed ended unexpectedly."""


class LiveFeed:
    """claimed: what to run. engine: None while it is being loaded; the background is shown until `set_engine`. proxy:
    URL of the HTTP proxy for sources over HTTP. streams: those that are live on this server. ended: called when it ends
    although `end` was not called.

    Raises UsageError or DeviceError if the source cannot work; nothing is contacted before `start`. The first `change`
    adds the outputs. An output that cannot work is reported as ended, with the reason, and does not affect the others.
    """

    def __init__(
        self,
        claimed: ClaimedFeed,
        settings: Settings,
        engine: Engine | None,
        proxy: str,
        streams: Streams,
        ended: Ended,
    ) -> None:
        feed = claimed.feed
        self.id, self._ended = feed.id, ended
        self._loop = asyncio.get_running_loop()
        self._matte = LiveMatte(feed.options, engine, settings)
        self._source = _source(claimed, settings, proxy, streams, self._source_changed)
        self._fan_out = FanOut((), Options(), settings)
        self._wanted: dict[str, FeedOutput] = {}
        self._numbers: dict[str, int] = {}  # of the FanOut, by id
        self._refused: dict[str, str] = {}  # outputs that cannot work → reason
        self._changing = asyncio.Lock()  # keeps changes in the order of the calls
        self._rates = Rates()
        self._thumbnail = Thumbnail()
        self._connected = 0  # how often the source became live
        self._ending = False
        self._thread = threading.Thread(target=self._pump, name=f"feed {self.id[:8]}", daemon=True)
        self.notice = ""

    @property
    def options(self) -> Options:
        """The options that were requested last."""
        return self._matte.latest()

    def start(self) -> None:
        self._thread.start()

    async def change(self, claimed: ClaimedFeed, engine: Engine | None) -> None:
        """Apply the options and outputs of a new version. Outputs that are unchanged are not interrupted.

        A background that cannot be read changes nothing else, but sets `notice`.
        """
        async with self._changing:
            if self._ending:
                return
            await asyncio.to_thread(self._update_outputs, claimed)
            if claimed.feed.options == self.options:
                return
            try:
                await asyncio.to_thread(self._matte.change, claimed.feed.options, engine)
                self.notice = ""
            except MatteboxError as exc:
                self.notice = str(exc)

    def set_engine(self, engine: Engine) -> None:
        self._matte.set_engine(engine)

    async def end(self, at_once: bool) -> None:
        """End the source and the outputs. A second call does nothing.

        at_once: disconnect without sending what is queued, because another worker runs the feed now.
        """
        if self._ending:
            return
        self._ending = True
        try:
            if at_once:
                await asyncio.to_thread(self._fan_out.abort)
        finally:
            self._source.end()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join, _JOIN_S)

    def report(self) -> FeedReport:
        """States now, and meters of the time since the last call."""
        state, now_s = self._source.state, time.time()
        measured = {status.id: status for status in self._fan_out.outputs()}
        outputs = [_output(id, measured.get(number), now_s) for id, number in list(self._numbers.items())]
        refused = [OutputReport(id=id, state="ended", reason=reason) for id, reason in list(self._refused.items())]
        return FeedReport(
            source_state=state.name,
            source_reason=without_paths(state.reason),
            outputs=(*outputs, *refused),
            meters=self._meters(list(measured.values())),
        )

    def counts(self) -> FeedCounts:
        """Since the start of the feed on this worker."""
        totals = self._fan_out.totals()
        return FeedCounts(
            frames_in=self._source.rate.count,
            frames_out=totals.frames,
            dropped=self._dropped() | ({"output": totals.dropped} if totals.dropped else {}),
            reconnects={"source": max(0, self._connected - 1), "output": totals.reconnects},
        )

    def picture(self) -> bytes:
        """What the outputs get now, small, as JPEG; empty before the first frame."""
        return self._thumbnail.jpeg()

    def _dropped(self) -> dict[str, int]:
        """Frames that no output got, by cause."""
        source = self._source
        counts = {**source.dropped, "late": source.slot.dropped, "engine": self._matte.covered}
        return {cause: count for cause, count in counts.items() if count}

    def _meters(self, outputs: list[OutputStatus]) -> Meters:
        source, matte = self._source, self._matte
        fps_in, matte_fps, fps_out = self._rates(
            source.rate.count, matte.matted, max((o.frames for o in outputs), default=0)
        )
        return Meters(
            fps_in=fps_in,
            fps_out=fps_out,
            matte_fps=matte_fps,
            latency_ms=median([output.latency_ms for output in outputs if output.latency_ms] or [0.0]),
            stages_ms={"decode": source.converting.take_ms(), "matte": matte.working.take_ms()},
            dropped=self._dropped(),
            width=matte.size[0],
            height=matte.size[1],
            engine=matte.engine.name,
            device=matte.engine.device,
            bitrate_bps=sum(output.bitrate_bps for output in outputs),
            viewers=sum(output.state == "live" for output in outputs),
            notice=without_paths(self.notice or matte.notice),
        )

    # Outputs: in the caller's thread.

    def _update_outputs(self, claimed: ClaimedFeed) -> None:
        wanted = {output.id: output for output in claimed.feed.outputs}
        for id in self._wanted.keys() - wanted.keys():
            self._refused.pop(id, None)
            if (number := self._numbers.pop(id, None)) is not None:
                self._fan_out.remove(number)
        for id, output in wanted.items():
            if id not in self._wanted:
                self._add(output, claimed)
            elif id in self._numbers and output.paused != self._wanted[id].paused:
                (self._fan_out.pause if output.paused else self._fan_out.resume)(self._numbers[id])
        self._wanted = wanted

    def _add(self, output: FeedOutput, claimed: ClaimedFeed) -> None:
        secret = claimed.secrets.outputs[output.id]
        try:
            spec = OutputSpec(
                Address.read(secret.url, (DEVICE,)), output.bitrate, audio=output.audio, token=secret.token or None,
                insecure=output.insecure, paused=output.paused, strict=True,
            )  # fmt: skip
            self._numbers[output.id] = self._fan_out.add(spec)
        except MatteboxError as exc:
            self._refused[output.id] = without_paths(str(exc))

    # In the feed's own thread.

    def _pump(self) -> None:
        try:
            pump(self._source, self._matte, self._fan_out, self._thumbnail.show, read=self._source.slot)
        except NoVideoStream:
            pass  # it was ended before its first picture
        except Exception:  # noqa: BLE001 - a bug; this feed ends, the worker and its other videos continue
            _log.exception("feed %s failed", self.id)
        if not self._ending:
            self._loop.call_soon_threadsafe(self._ended, self.id)

    def _source_changed(self, state: SourceState) -> None:
        self._connected += state.name == "live"
        _log.info("feed %s: source %s", self.id, state)


def _source(
    claimed: ClaimedFeed, settings: Settings, proxy: str, streams: Streams, on_state: Callable[[SourceState], object]
) -> NetworkSource:
    """Raises UsageError if the source cannot work; never opens a file."""
    feed, address = claimed.feed, Address.read(claimed.secrets.source, (DEVICE, STREAM))
    if address.scheme not in (*PROTOCOLS, STREAM):
        raise UsageError(f"{address.scheme}:// is not supported here as the source of a feed")
    size, token = (feed.width, feed.height), claimed.secrets.source_token or None
    requested = SourceOptions(size=size, insecure=feed.insecure, proxy=proxy, token=token, on_state=on_state)
    connect = streams.connecting(address, feed.owner) if address.scheme == STREAM else None
    return NetworkSource(address, settings, requested, connect)


def _output(id: str, status: OutputStatus | None, now_s: float) -> OutputReport:
    if status is None:  # removed meanwhile
        return OutputReport(id=id, state="ended")
    return OutputReport(
        id=id, state=status.state, reason=without_paths(status.reason), frames=status.frames, dropped=status.dropped,
        bitrate_bps=status.bitrate_bps, since_s=round(max(0.0, now_s - status.since_s), 1),
        reconnects=status.reconnects, latency_ms=status.latency_ms,
    )  # fmt: skip
