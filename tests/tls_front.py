"""TLS in front of a server on loopback, with a self-signed certificate."""

import contextlib
import socket
import ssl
import threading
from pathlib import Path

from web.http.tls import certificate


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """(a PEM file with key and certificate for 127.0.0.1, a file with the certificate alone)."""
    files = certificate("auto", folder, "127.0.0.1")
    assert files is not None
    both = folder / "both.pem"
    both.write_text(files.key.read_text() + files.chain.read_text())
    return both, files.chain


class TlsFront:
    """Passes connections to `port` on to the port `target`."""

    def __init__(self, pem: Path, target: int) -> None:
        self._target = target
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with (
            client,
            contextlib.suppress(OSError),
            self._context.wrap_socket(client, server_side=True) as outer,
            socket.create_connection(("127.0.0.1", self._target)) as inner,
        ):
            back = threading.Thread(target=_copy, args=(inner, outer), daemon=True)
            back.start()
            _copy(outer, inner)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        while block := source.recv(65_536):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)
