"""The tests' HTTP server of live video as a process that can be frozen, killed and restarted."""

import subprocess
import sys

from stream.serve.die_with_parent import tied
from tests.media import ROOT
from tests.rtsp import RtspServer


class HttpVideoServer(RtspServer):
    """arguments: those of `tests.http_video_server`. A restarted server listens on the same port."""

    def _launch(self, *arguments: object) -> "subprocess.Popen[str]":
        argv = [sys.executable, "-m", "tests.http_video_server", str(self.port), *map(str, arguments)]
        return subprocess.Popen(tied(argv), cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def url(self, path: str = "live.ts", user: str = "", scheme: str = "http") -> str:
        return f"{scheme}://{user}{'@' if user else ''}127.0.0.1:{self.port}/{path}"
