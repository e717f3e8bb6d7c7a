"""An HTTP server of live video, run as a program: `http_video.py` runs it. It prints "ready". Paths:

/live.ts: MPEG-TS, sent at its own pace. /clip.mp4: the whole file at once. /cam.mjpeg: JPEG pictures as
multipart/x-mixed-replace. /hls/live.m3u8: a live playlist with segments of a second. /away.m3u8: a playlist with a
segment on another server, /file.m3u8: with a segment that is a local file. /silent: accepts and sends nothing.
"""

import argparse
import base64
import io
import ssl
import threading
import time
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
from PIL import Image

from tests.playing import play

PLAYLIST = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n"
HLS = {"hls_time": "1", "hls_list_size": "5", "hls_flags": "delete_segments+independent_segments"}


class Handler(SimpleHTTPRequestHandler):
    def __init__(self, *rest: object, clip: Path, user: str, other: str, **fields: object) -> None:
        self._clip, self._user, self._other = clip, user, other
        super().__init__(*rest, **fields)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        expected = f"Basic {base64.b64encode(self._user.encode()).decode()}"
        if self._user and self.headers.get("Authorization") != expected:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="cam"')
            self.end_headers()
            return
        with suppress(OSError, av.error.FFmpegError):  # the client has gone
            self._answer()

    def _answer(self) -> None:
        match self.path.partition("?")[0]:
            case "/live.ts":
                self._head("video/mp2t")
                play(self._clip, self.wfile, "mpegts", {})
            case "/cam.mjpeg":
                self._head("multipart/x-mixed-replace; boundary=picture")
                self._pictures()
            case "/silent":
                time.sleep(3600)
            case "/away.m3u8":
                self._playlist(self._other)
            case "/file.m3u8":
                self._playlist(self._clip.as_uri())
            case _:
                super().do_GET()

    def _head(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def _playlist(self, segment: str) -> None:
        self._head("application/vnd.apple.mpegurl")
        self.wfile.write(PLAYLIST.format(segment).encode())

    def _pictures(self) -> None:
        buffer = io.BytesIO()
        Image.new("RGB", (320, 240), (0, 200, 60)).save(buffer, "jpeg")
        part = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {buffer.tell()}\r\n\r\n".encode()
        while True:
            self.wfile.write(part + buffer.getvalue() + b"\r\n")
            time.sleep(0.04)

    def log_message(self, format: str, *rest: object) -> None:
        """Nothing: the tests' output stays readable."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("folder", type=Path, help="has clip.ts, and clip.mp4; gets the folder hls")
    parser.add_argument("--user", default="")
    parser.add_argument("--tls", default="")
    parser.add_argument("--other", default="", help="address of the segment of /away.m3u8")
    arguments = parser.parse_args()
    hls = arguments.folder / "hls"
    hls.mkdir(exist_ok=True)
    clip = arguments.folder / "clip.ts"
    handler = partial(Handler, clip=clip, user=arguments.user, other=arguments.other, directory=str(arguments.folder))
    server = ThreadingHTTPServer(("127.0.0.1", arguments.port), handler)
    if arguments.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=play, args=(clip, str(hls / "live.m3u8"), "hls", HLS), daemon=True).start()
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
