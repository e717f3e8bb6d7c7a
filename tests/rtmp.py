"""A real RTMP server that can be frozen, killed and restarted: nginx with its RTMP module (Debian's
libnginx-mod-rtmp), on loopback."""

import shutil
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest

from stream.serve.die_with_parent import tied
from tests.servers import free_port
from tests.waiting import PATIENCE_S, until

NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if Path("/usr/sbin/nginx").exists() else None)
MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
KEY = "s3cret-key"
"""The stream key that the application `keyed` demands, as rtmp://…/keyed/NAME?key=KEY."""

_CONFIG = """
load_module {module};
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log info;
events {{ worker_connections 256; }}
rtmp {{ server {{ listen 127.0.0.1:{port}; chunk_size 4096;
  application live {{ live on; record off; wait_key on; idle_streams off; drop_idle_publisher 10s; }}
  application idle {{ live on; record off; wait_key on; idle_streams on; }}
  application keyed {{ live on; record off; notify_method get; on_publish http://127.0.0.1:{http}/auth; }} }} }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{http};
    location /stat {{ rtmp_stat all; }}
    location /auth {{ if ($arg_key = "{key}") {{ return 200; }} return 403; }} }} }}
"""


class RtmpServer:
    """Serves rtmp://127.0.0.1:PORT/live/NAME, which refuses to play what nobody publishes, and …/idle/NAME, which
    waits. Skips the test where nginx or its module is missing.

    stat: XML with the server's clients and streams.
    """

    def __init__(self, folder: Path) -> None:
        if NGINX is None or not MODULE.exists():
            pytest.skip("nginx or its RTMP module is not installed; see the Debian packages in README.md")
        self._folder, self.port, self._http = folder, free_port(), free_port()
        folder.mkdir(exist_ok=True)
        fields = {"module": MODULE, "folder": folder, "port": self.port, "http": self._http, "key": KEY}
        (folder / "nginx.conf").write_text(_CONFIG.format(**fields))
        self.start()

    def start(self) -> None:
        argv = [NGINX, "-p", str(self._folder), "-c", str(self._folder / "nginx.conf"), "-e", str(self._folder / "log")]
        self.process = subprocess.Popen(tied([str(word) for word in argv]))
        until(lambda: self.process.poll() is not None or self._answers(), "nginx answers")
        assert self.process.poll() is None, (self._folder / "log").read_text()

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True

    def url(self, name: str = "cam", application: str = "live") -> str:
        return f"rtmp://127.0.0.1:{self.port}/{application}/{name}"

    def stat(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http}/stat", timeout=PATIENCE_S) as answer:
            return str(answer.read().decode())

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
