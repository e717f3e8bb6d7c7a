"""Certificates of TLS servers: which authorities FFmpeg trusts, and what is wrong with a server's certificate.

FFmpeg verifies no certificate unless it is told to, and then needs a file with the trusted authorities.
"""

import importlib
import os
import socket
import ssl
from pathlib import Path

from stream.errors import UsageError
from stream.settings import Settings

_SYSTEM_FILES = (  # where systems keep the trusted authorities in one file
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)

_OF_FORM = range(80, 94)  # OpenSSL's codes for what VERIFY_X509_STRICT finds, such as a missing key identifier


def ca_file(settings: Settings) -> str:
    """The file of trusted authorities: MATTEBOX_CA_FILE, SSL_CERT_FILE, the system's, or that of the package certifi.

    Raises UsageError where there is none.
    """
    if settings.ca_file is not None:
        return str(settings.ca_file)
    system = (os.environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile, *_SYSTEM_FILES)
    for path in filter(None, system):
        if Path(path).is_file():
            return path
    try:
        return str(importlib.import_module("certifi").where())
    except ModuleNotFoundError:
        raise UsageError("no file of trusted certificate authorities was found; set MATTEBOX_CA_FILE") from None


def tls_options(settings: Settings, insecure: bool) -> dict[str, str]:
    """FFmpeg's options for a TLS connection. insecure: accept any certificate. Raises UsageError as `ca_file`."""
    return {"tls_verify": "0"} if insecure else {"tls_verify": "1", "ca_file": ca_file(settings)}


def tls_context(settings: Settings, insecure: bool) -> ssl.SSLContext:
    """The same for Python's connections.

    From Python 3.13 on, certificates must have the form of RFC 5280, and a certificate in the file may also be one that
    another authority has signed. For authorities that the operator names, which may be a camera's own certificate,
    every version accepts the second and does not require the first, as FFmpeg does.
    """
    if insecure:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    context = ssl.create_default_context(cafile=ca_file(settings))
    if settings.ca_file is not None:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def reason(exc: ssl.SSLCertVerificationError) -> str:
    """What is wrong with a certificate."""
    if exc.verify_code not in _OF_FORM:
        return exc.verify_message
    return f"{exc.verify_message}: RFC 5280 requires it; MATTEBOX_CA_FILE with its authority accepts it anyway"


def problem(host: str, port: int, settings: Settings, timeout_s: float) -> str:
    """Connect to a TLS server, and return what is wrong with its certificate; "" if it is trusted or unknown."""
    context = tls_context(settings, insecure=False)
    try:
        with (
            socket.create_connection((host, port), timeout_s) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return ""
    except ssl.SSLCertVerificationError as exc:
        return reason(exc)
    except (OSError, ValueError):
        return ""
