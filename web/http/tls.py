"""A self-signed certificate for servers that have none: outside localhost, browsers allow the camera on https only.

Each browser asks its user once whether to trust it. It is stored in the data folder, so that it stays the same.
"""

import ipaddress
import secrets
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stream import private
from stream.errors import UsageError, disk_error

_LIFETIME = timedelta(days=397)  # browsers reject longer ones
_RENEW = timedelta(days=30)


@dataclass(frozen=True)
class Certificate:
    """PEM files. `chain` and `key` may be the same file."""

    chain: Path
    key: Path


def certificate(spec: str, folder: Path, host: str) -> Certificate | None:
    """`off`: None. `auto`: a self-signed one stored in `folder`. `CERT,KEY`: those files. Raises UsageError, DiskError.

    host: the address that the server listens on.
    """
    if spec == "off":
        return None
    if spec == "auto":
        return _self_signed(folder / "tls", host_names(host))
    check_tls(spec)
    chain, comma, key = spec.partition(",")
    return Certificate(Path(chain), Path(key if comma else chain))


def check_tls(spec: str) -> None:
    """Raise UsageError if the files of `spec` do not exist."""
    for path in [] if spec in ("off", "auto") else spec.split(",", 1):
        if not Path(path).is_file():
            raise UsageError(f"--tls {spec}: {path} is not a file; use auto, off or CERT,KEY")


def host_names(host: str) -> list[str]:
    """The names and addresses that may reach this machine."""
    found = ["localhost", "127.0.0.1", "::1", socket.gethostname(), f"{socket.gethostname()}.local", *_addresses()]
    if host not in ("0.0.0.0", "::", ""):
        found.append(host)
    return list(dict.fromkeys(name.lower() for name in found))


def _addresses() -> list[str]:
    """The source addresses of packets to the Internet. Connecting a UDP socket sends nothing."""
    found = []
    for family, remote in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((remote, 9))
                found.append(str(probe.getsockname()[0]).partition("%")[0])
        except OSError:
            continue  # no route for this family
    return found


def _self_signed(folder: Path, names: list[str]) -> Certificate:
    files = Certificate(folder / "cert.pem", folder / "key.pem")
    try:
        if not _is_usable(files, names):
            private.make_folder(folder)
            _create(files, names)
    except OSError as exc:
        raise disk_error(exc, folder) from exc
    return files


def _is_usable(files: Certificate, names: list[str]) -> bool:
    """Whether the certificate exists, covers all `names` and does not expire soon."""
    if not files.chain.is_file() or not files.key.is_file():
        return False
    try:
        found = x509.load_pem_x509_certificate(files.chain.read_bytes())
        san = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    covered = {*san.get_values_for_type(x509.DNSName), *map(str, san.get_values_for_type(x509.IPAddress))}
    return set(names) <= covered and found.not_valid_after_utc - datetime.now(UTC) > _RENEW


def _create(files: Certificate, names: list[str]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(files.key, secret)
    _write(files.chain, _signed(key, names).public_bytes(Encoding.PEM))


def _signed(key: ec.EllipticCurvePrivateKey, names: list[str]) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Mattebox")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, data: bytes) -> None:
    """Write the file atomically, with mode 0600."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with private.create(draft) as file:
        file.write(data)
    draft.replace(path)
