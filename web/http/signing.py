"""Signed tokens that expire, for cookies and links. Knows nothing about HTTP or users.

A token is base64url(JSON) "." base64url(HMAC-SHA256 of the first part). It is readable by anyone but tamper-proof.
"""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from stream import private
from stream.errors import disk_error

Scope = Literal["login", "view", "publish", "download"]
SECRET_FILE = "secret"
"""In the data folder: the key that signs, where none is set."""
_MAX_TOKEN = 1024  # characters


class Claim(BaseModel):
    """scope: what it allows. owner: for which user. name: on which resource ("" for a login). expires_s: Unix time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: Scope
    owner: str
    name: str = ""
    expires_s: float


def sign(claim: Claim, key: bytes) -> str:
    body = _encode(claim.model_dump_json().encode())
    return f"{body}.{_encode(_mac(body, key))}"


def read_claim(token: str) -> Claim | None:
    """The token's claim, unverified; None if the token is malformed."""
    try:
        return Claim.model_validate_json(_decode(token[:_MAX_TOKEN].partition(".")[0]))
    except (ValueError, ValidationError, binascii.Error):
        return None


def is_valid(token: str, key: bytes, now_s: float | None = None) -> bool:
    """Whether the token is signed with `key` and has not expired."""
    body, _, mac = token[:_MAX_TOKEN].partition(".")
    claim = read_claim(token)
    authentic = hmac.compare_digest(_encode(_mac(body, key)).encode(), mac.encode(errors="replace"))
    return authentic and claim is not None and claim.expires_s > (time.time() if now_s is None else now_s)


def derive(secret: bytes, purpose: str) -> bytes:
    """Derive a separate 32-byte key for `purpose`."""
    return hmac.digest(secret, purpose.encode(), hashlib.sha256)


def load_secret(folder: Path) -> bytes:
    """The 32-byte secret stored in `folder`, created on first use with mode 0600. Raises DiskError."""
    path = folder / SECRET_FILE
    try:
        private.make_folder(folder)
        if not path.exists():
            _create(path)
        return path.read_bytes()
    except OSError as exc:
        raise disk_error(exc, path) from exc


def _create(path: Path) -> None:
    """Write the file atomically. If several processes do so at once, the first wins: os.link does not overwrite."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with private.create(draft) as file:
            file.write(secrets.token_bytes(32))
        if not path.exists():
            os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)


def _mac(body: str, key: bytes) -> bytes:
    return hmac.digest(key, body.encode(errors="replace"), hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.encode("ascii", errors="replace") + b"=" * (-len(text) % 4))
