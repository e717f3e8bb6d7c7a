"""A folder with an HLS playlist and its segments, for a web server."""

import time
from pathlib import Path

from stream.errors import MatteboxError, disk_error
from stream.settings import Settings
from stream.sinks.live.push import PushRequest, PushWriter, disk_failure
from stream.sinks.live.spec import OutputSpec

_SEGMENT_S = 2
_LISTED = 6


class HlsWriter(PushWriter):
    """Writes NAME.m3u8 and its segments NAME-NUMBER.m4s, of which about 12 s are kept.

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
        return PushRequest(f"file:{path}", "hls", hls_options(path, time.time()))

    def failure(self, name: str, errno: int, opened: bool) -> MatteboxError:
        return disk_failure(errno, self._spec.address) or super().failure(name, errno, opened)


def hls_options(path: Path, now_s: float) -> dict[str, str]:
    """Options of FFmpeg's HLS muxer for a playlist at this path. now_s: since 1970; segments are numbered from it."""
    start = int(now_s)
    return {
        "hls_time": str(_SEGMENT_S),
        "hls_list_size": str(_LISTED),
        "hls_segment_type": "fmp4",
        "hls_flags": "delete_segments+independent_segments+program_date_time+temp_file",
        "hls_fmp4_init_filename": f"{path.stem}-{start}.mp4",
        "hls_segment_filename": str(path.with_name(f"{path.stem}-%d.m4s")),
        "start_number": str(start),
    }
