"""The tunnel that adds TLS to a connection of FFmpeg."""

import datetime
import ipaddress
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from stream.fetch.tls_tunnel import TlsTunnel
from stream.settings import Settings
from tests.servers import free_port
from tests.tls_front import TlsFront, make_certificate
from tests.waiting import PATIENCE_S, until

_SIZE = 3_000_000


class Echo:
    """A server on loopback that sends back what it receives, and closes after the last byte. port: where it listens."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with self._listener, self._listener.accept()[0] as client:
            while block := client.recv(65_536):
                client.sendall(block)


def exchange(tunnel: TlsTunnel, data: bytes) -> bytes:
    """What comes back while data is sent, which is more than the buffers on the way can hold."""
    with socket.create_connection(("127.0.0.1", tunnel.port), PATIENCE_S) as client:
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        received = bytearray()
        while len(received) < len(data) and (block := client.recv(65_536)):
            received += block
        sender.join()
    return bytes(received)


def refusal(tunnel: TlsTunnel) -> str:
    """Why the tunnel closes a connection."""
    with socket.create_connection(("127.0.0.1", tunnel.port), PATIENCE_S) as client:
        assert client.recv(1) == b""
    until(lambda: tunnel.reason)
    return tunnel.reason


def tunnel_to(port: int, authority: Path | None = None, insecure: bool = False) -> TlsTunnel:
    return TlsTunnel("127.0.0.1", port, Settings(ca_file=authority), insecure, PATIENCE_S)


@pytest.mark.parametrize("insecure", [False, True])
def test_it_passes_on_both_ways_at_once(tmp_path: Path, insecure: bool) -> None:
    pem, authority = make_certificate(tmp_path)
    front = TlsFront(pem, Echo().port)
    tunnel = tunnel_to(front.port, None if insecure else authority, insecure)
    data = bytes(range(256)) * (_SIZE // 256)
    assert exchange(tunnel, data) == data
    tunnel.close()
    front.close()


def test_only_one_thread_uses_the_encrypted_connection(tmp_path: Path) -> None:
    """Two at a time wait for each other in Python 3.13.6, and OpenSSL does not allow them."""
    pem, authority = make_certificate(tmp_path)
    front = TlsFront(pem, Echo().port)
    tunnel = tunnel_to(front.port, authority)
    threads: set[int] = set()
    own, calls = ssl.SSLSocket, ("recv", "send")
    for name in calls:
        _note_threads(tunnel, own, name, threads)
    data = bytes(300_000)
    assert exchange(tunnel, data) == data
    assert len(threads) == 1
    tunnel.close()
    front.close()


def _note_threads(tunnel: TlsTunnel, base: Any, name: str, threads: set[int]) -> None:
    """Make the tunnel's connection note the thread of each call."""

    def noted(self: Any, *arguments: Any) -> Any:
        threads.add(threading.get_ident())
        return getattr(base, name)(self, *arguments)

    context: Any = tunnel._context
    if context.sslsocket_class is base:
        context.sslsocket_class = type("Noted", (base,), {})
    setattr(context.sslsocket_class, name, noted)


def test_closing_ends_the_connection_of_the_library(tmp_path: Path) -> None:
    pem, authority = make_certificate(tmp_path)
    front = TlsFront(pem, Echo().port)
    tunnel = tunnel_to(front.port, authority)
    with socket.create_connection(("127.0.0.1", tunnel.port), PATIENCE_S) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        tunnel.close()
        assert client.recv(1) == b""


def test_reasons(tmp_path: Path) -> None:
    pem, _ = make_certificate(tmp_path)
    front = TlsFront(pem, Echo().port)
    assert refusal(tunnel_to(front.port)) == "its certificate is not trusted (self-signed certificate)"
    assert refusal(tunnel_to(free_port())) == "connection refused"
    front.close()


class _PythonOf:
    """`ssl.create_default_context` of another version of Python."""

    def __init__(self, flags: int) -> None:
        self._flags, self._own = flags, ssl.create_default_context

    def __call__(self, *arguments: Any, **fields: Any) -> ssl.SSLContext:
        context = self._own(*arguments, **fields)
        context.verify_flags = ssl.VerifyFlags(self._flags) | ssl.VERIFY_X509_TRUSTED_FIRST
        return context


_311, _313 = 0, ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT


@pytest.mark.parametrize("python", [_311, _313])
@pytest.mark.parametrize("trusted", ["authority", "server"])
def test_a_certificate_in_an_old_form_is_accepted_if_the_operator_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: int, trusted: str
) -> None:
    """That of the authority, or the server's own, although another one has signed it."""
    monkeypatch.setattr(ssl, "create_default_context", _PythonOf(python))
    front = TlsFront(_old_form(tmp_path), Echo().port)
    tunnel = tunnel_to(front.port, tmp_path / f"{trusted}.pem")
    assert exchange(tunnel, b"data") == b"data"
    tunnel.close()
    front.close()


def test_an_authority_of_the_system_must_have_the_form_and_the_reason_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssl, "create_default_context", _PythonOf(_313))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    front = TlsFront(_old_form(tmp_path), Echo().port)
    reason = refusal(tunnel_to(front.port))
    assert reason.startswith("its certificate is not trusted (Missing Authority Key Identifier: RFC 5280 requires it")
    assert "MATTEBOX_CA_FILE" in reason
    front.close()


def _old_form(folder: Path) -> Path:
    """A file with key and certificate for 127.0.0.1, without key identifiers and key usage. Also writes server.pem and
    authority.pem, the certificates of the server and of the authority that signed it."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer, name = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("authority", "server"))
    now = datetime.datetime.now(datetime.UTC)

    def certificate(subject: x509.Name, public: Any, extension: x509.ExtensionType) -> bytes:
        builder = x509.CertificateBuilder(issuer, subject, public, x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1)).add_extension(extension, critical=True)
        return builder.sign(authority_key, hashes.SHA256()).public_bytes(Encoding.PEM)

    host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    server = certificate(name, key.public_key(), host)
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    (folder / "authority.pem").write_bytes(certificate(issuer, authority_key.public_key(), constraints))
    (folder / "server.pem").write_bytes(server)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "both.pem").write_bytes(private + server)
    return folder / "both.pem"
