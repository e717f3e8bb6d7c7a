"""A folder with an HLS playlist and its segments, for a web server."""

import math
import time
from pathlib import Path

from stream.errors import MatteboxError, disk_error
from stream.settings import Settings
from stream.sinks.live.push import PushRequest, PushWriter, disk_failure
from stream.sinks.live.spec import OutputSpec

_LISTED_S = 12
_MIN_LISTED = 3  # segments, by RFC 8216


class HlsWriter(PushWriter):
    """Writes NAME.m3u8 and its segments NAME-NUMBER.m4s, of which about 12 s are kept.

    Players start three segments before the newest one, so short segments mean little delay. Low-Latency HLS (parts of
    segments) is of no use in a folder: players read new parts in time only if the server holds back its answer to a
    request for the playlist until it has changed, which no server of plain files does.

    The playlist and each segment appear complete. A new connection continues with higher numbers, so players go on.
    """

    @classmethod
    def check(cls, spec: OutputSpec, settings: Settings) -> None:
        """Creates the folder."""
        folder = spec.address.path.absolute().parent
        try:
            folder.mkdir(exist_ok=True)
        except OSError as exc:
            raise disk_error(exc, spec.address.path) from exc

    def request(self) -> PushRequest:
        path = self._spec.address.path.absolute()
        return PushRequest(f"file:{path}", "hls", hls_options(path, time.time(), self._spec.segment_s))

    def failure(self, name: str, errno: int, opened: bool) -> MatteboxError:
        return disk_failure(errno, self._spec.address) or super().failure(name, errno, opened)


def hls_options(path: Path, now_s: float, segment_s: float) -> dict[str, str]:
    """Options of FFmpeg's HLS muxer for a playlist at this path. now_s: since 1970; segments are numbered from it.
    segment_s: seconds of a segment."""
    start = int(now_s)
    return {
        "hls_time": str(segment_s),
        "hls_list_size": str(max(_MIN_LISTED, math.ceil(_LISTED_S / segment_s))),
        "hls_segment_type": "fmp4",
        "hls_flags": "delete_segments+independent_segments+program_date_time+temp_file",
        "hls_fmp4_init_filename": f"{path.stem}-{start}.mp4",
        "hls_segment_filename": str(path.with_name(f"{path.stem}-%d.m4s")),
        "start_number": str(start),
    }
