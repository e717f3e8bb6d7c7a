"""`FanOut`: the sink that sends one live video to several outputs.

Every picture is encoded once for all outputs of equal settings, and each output has a queue and a thread of its own, so
`write` never waits for an output and never raises because of one.
"""

import threading
from collections.abc import Callable, Sequence

from stream.errors import UsageError
from stream.picture.frames import VideoInfo
from stream.pump import Item, Warnings
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks.live.encodes import Encodes
from stream.sinks.live.frame_output import FrameOutput
from stream.sinks.live.output import Output
from stream.sinks.live.packet_output import PacketOutput
from stream.sinks.live.protocols import protocol_of
from stream.sinks.live.spec import OutputSpec, OutputStatus, OutputTotals


class FanOut:
    """A sink with outputs that can be added, removed and paused while it runs, from any thread.

    outputs: the first ones, numbered from 1. options: of the video. on_state: called with the new status of an output,
    once per change of state or reason, in any thread; it must not call the FanOut. Its `OutputStatus` counts from the
    time of the change.

    Raises UsageError if an output cannot work; nothing is contacted before `open`.
    """

    def __init__(
        self,
        outputs: Sequence[OutputSpec],
        options: Options,
        settings: Settings,
        on_state: Callable[[OutputStatus], object] = lambda status: None,
    ) -> None:
        self.warnings: Warnings = []
        self._options, self._settings, self._on_state = options, settings, on_state
        self._outputs: dict[int, Output] = {}
        self._removed = OutputTotals()
        self._lock = threading.Lock()
        self._encodes: Encodes | None = None
        self._next = 1
        self._closed = False
        for spec in outputs:
            self.add(spec)

    # Outputs: from any thread.

    def add(self, spec: OutputSpec) -> int:
        """Add an output, which starts at once if the video runs. Returns its number. Raises UsageError, DiskError."""
        output = self._created(spec)
        with self._lock:
            if self._closed:
                raise UsageError("the video has ended")
            output.id, self._next = self._next, self._next + 1
            self._outputs[output.id] = output
            if self._encodes is not None:
                output.start(self._encodes)
        return output.id

    def remove(self, number: int) -> None:
        """End an output; a file is completed. Its number is not used again. Waits for its end, at most for about the
        setting `output_timeout_s`. Raises UsageError for an unknown number."""
        with self._lock:
            output = self._find(number)
            del self._outputs[number]
            self._removed = self._removed.plus(output.status())
        output.close()

    def pause(self, number: int) -> None:
        """Disconnect an output until `resume`; a file continues in a new file. Raises UsageError for an unknown
        number."""
        self._find(number).pause()

    def resume(self, number: int) -> None:
        """Connect a paused output again. Raises UsageError for an unknown number."""
        self._find(number).resume()

    def end_files(self) -> None:
        """Complete the outputs that are files, without waiting. The others go on."""
        with self._lock:
            files = [output for output in self._outputs.values() if output.spec.address.scheme == "file"]
        for output in files:
            output.pause()

    def outputs(self) -> list[OutputStatus]:
        """The status of all outputs, in the order in which they were added."""
        with self._lock:
            return [output.status() for output in self._outputs.values()]

    def totals(self) -> OutputTotals:
        """Counts of all outputs since the start, those that were removed included. They never decrease."""
        with self._lock:
            totals = self._removed
            for output in self._outputs.values():
                totals = totals.plus(output.status())
            return totals

    def _created(self, spec: OutputSpec) -> Output:
        protocol = protocol_of(spec.address)
        kind = PacketOutput if protocol.takes == "packets" else FrameOutput
        return kind(spec, protocol, self._options, self._settings, self._on_state)

    def _find(self, number: int) -> Output:
        if number not in self._outputs:
            raise UsageError(f"there is no output {number}")
        return self._outputs[number]

    # The sink: in the pump's threads.

    def open(self, info: VideoInfo) -> None:
        """Start all outputs. info: of the frames; of several sound tracks, the first is sent."""
        with self._lock:
            self._encodes = Encodes(info, self._settings)
            for output in self._outputs.values():
                output.start(self._encodes)

    def write(self, item: Item) -> None:
        """Pass a frame or a packet of sound to all outputs. Never waits."""
        assert self._encodes is not None
        self._encodes.write(item)
        with self._lock:
            outputs = list(self._outputs.values())
        for output in outputs:
            output.offer(item)

    def close(self) -> None:
        """Send what is queued, complete the files, and disconnect."""
        if self._encodes is not None:
            self._encodes.close()
        self._end(Output.finish)

    def abort(self) -> None:
        """Disconnect at once. Recordings are kept as far as they were written."""
        if self._encodes is not None:
            self._encodes.close()
        self._end(Output.abort)

    def _end(self, end: Callable[[Output], Callable[[], None]]) -> None:
        """End all outputs at the same time."""
        with self._lock:
            self._closed, outputs = True, list(self._outputs.values())
        for wait in [end(output) for output in outputs]:
            wait()
        self.warnings += [warning for output in outputs for warning in output.warnings]
