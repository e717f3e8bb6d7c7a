"""The certificate authorities that are trusted, for FFmpeg, which has none of its own."""

import os
import ssl

from stream.errors import RemoteError


def certificate_file() -> str:
    """The path of a file with the trusted certificates: that of SSL_CERT_FILE or of the system, else that of certifi.

    Raises RemoteError if there is none.
    """
    paths = ssl.get_default_verify_paths()
    for path in (os.environ.get(paths.openssl_cafile_env), paths.cafile, "/etc/ssl/certs/ca-certificates.crt"):
        if path and os.path.isfile(path):
            return path
    try:
        import certifi
    except ModuleNotFoundError:
        raise RemoteError("no trusted certificates were found; set SSL_CERT_FILE") from None
    return certifi.where()
