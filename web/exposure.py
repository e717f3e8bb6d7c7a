"""The settings of a server that others can reach: users, secrets, proxies; the certificate of its public address."""

import http.client
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

from stream.errors import MatteboxError
from stream.finding import Finding
from stream.settings import Settings
from web.http.auth import read_tokens
from web.http.signing import SECRET_FILE

_SHORTEST = 16  # characters of a secret
_EXPIRES_SOON_S = 14 * 86_400
_TIMEOUT_S = 10.0
_NEW_SECRET = "openssl rand -hex 24"


def check(settings: Settings, url: str = "") -> list[Finding]:
    """url: the address that users type, if known: it is requested. Blocks."""
    return [
        _users(settings, bool(url)),
        _secret(settings),
        *_turn_secret(settings),
        _proxies(settings),
        *_public(settings, url),
    ]


def _users(settings: Settings, is_public: bool) -> Finding:
    try:
        users = read_tokens(settings)
    except MatteboxError as exc:
        return Finding("users", False, str(exc), "correct MATTEBOX_TOKENS")
    if not users:
        remedy = f"set MATTEBOX_TOKENS=NAME:TOKEN,… with a token from `{_NEW_SECRET}` for each user"
        return Finding("users", False if is_public else None, "none: web can only listen on loopback", remedy)
    weak = [name for name, token in users.items() if len(token) < _SHORTEST]
    if weak:
        remedy = f"replace them: `{_NEW_SECRET}`"
        return Finding("users", None, f"{len(users)}; the tokens of {', '.join(weak)} are short", remedy)
    return Finding("users", True, str(len(users)))


def _secret(settings: Settings) -> Finding:
    name, secret = "signing secret", settings.secret.get_secret_value()
    if secret and len(secret) < _SHORTEST:
        return Finding(name, None, f"MATTEBOX_SECRET has {len(secret)} characters", f"replace it: `{_NEW_SECRET}`")
    if secret:
        return Finding(name, True, "MATTEBOX_SECRET")
    remedy = "with several web machines, set the same MATTEBOX_SECRET on all"
    return Finding(name, None, f"the file {settings.data_dir / SECRET_FILE} of each machine", remedy)


def _turn_secret(settings: Settings) -> list[Finding]:
    if settings.turn_secret and len(settings.turn_secret) < _SHORTEST:
        return [Finding("turn secret", None, "MATTEBOX_TURN_SECRET is short", f"replace it: `{_NEW_SECRET}`")]
    return []


def _proxies(settings: Settings) -> Finding:
    names = [name.strip() for name in settings.trusted_proxies.split(",") if name.strip()]
    if "*" in names:
        remedy = "name the proxy: any client can otherwise choose the address that limits count"
        return Finding("proxies", None, "MATTEBOX_TRUSTED_PROXIES trusts every address", remedy)
    if names:
        return Finding("proxies", True, f"trusts {', '.join(names)}")
    remedy = "behind a proxy, set MATTEBOX_TRUSTED_PROXIES: else all clients count as one, and cookies are not secure"
    return Finding("proxies", None, "none is trusted", remedy)


def _public(settings: Settings, url: str) -> list[Finding]:
    """The public address: requested as browsers do."""
    name, parts = "public url", urlsplit(url)
    if not url:
        return [Finding(name, None, "not checked", "name it: mattebox doctor --deployment --url https://…")]
    if parts.scheme != "https":
        return [Finding(name, False, f"{url} is not https", "browsers allow the camera on https pages only")]
    if not parts.hostname:
        return [Finding(name, False, f"{url} has no host", "write it as https://HOST")]
    try:
        status, expires_s = _requested(parts.hostname, parts.port or 443)
    except ssl.SSLCertVerificationError as exc:
        remedy = "get a certificate for this name from an authority that browsers trust"
        return [Finding(name, False, f"{url}: {exc.verify_message}", remedy)]
    except (OSError, http.client.HTTPException) as exc:
        return [Finding(name, False, f"{url}: {exc}", "check DNS, the proxy and the firewall")]
    if status != http.client.OK:
        return [Finding(name, False, f"{url}/livez answers {status}", "see the log of the proxy; is web running?")]
    days = (expires_s - time.time()) / 86_400
    soon = expires_s - time.time() < _EXPIRES_SOON_S
    remedy = "renew it; see why that does not happen by itself" if soon else ""
    return [Finding(name, None if soon else True, f"{url}; its certificate is valid for {days:.0f} days", remedy)]


def _requested(host: str, port: int) -> tuple[int, float]:
    """The status of /livez, and when the certificate expires, in Unix time."""
    connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.connect()
        certificate: dict[str, Any] = connection.sock.getpeercert() or {}
        connection.request("GET", "/livez")
        return connection.getresponse().status, ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    finally:
        connection.close()
