"""Self-signed certificates for servers of tests on 127.0.0.1."""

from pathlib import Path

from web.http.tls import certificate


def both(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and a file of certificate and key."""
    files = certificate("auto", folder, "127.0.0.1")
    assert files is not None
    joined = folder / "both.pem"
    joined.write_bytes(files.chain.read_bytes() + files.key.read_bytes())
    return files.chain, joined
