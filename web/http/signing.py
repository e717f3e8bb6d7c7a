"""Signed notes that expire: what a cookie and a link carry. Knows nothing about HTTP or users.

A note is base64url(JSON) "." base64url(HMAC-SHA256 of it). Nothing in it is secret, nothing in it can be changed.
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

from stream.errors import disk_error

Scope = Literal["login", "view", "publish", "download"]
_MAX_NOTE = 1024  # characters


class Claim(BaseModel):
    """scope: what it allows; owner: in whose name; name: of which stream ("" for a login); expires_s: unix time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: Scope
    owner: str
    name: str = ""
    expires_s: float


def sign(claim: Claim, key: bytes) -> str:
    body = _encode(claim.model_dump_json().encode())
    return f"{body}.{_encode(_mac(body, key))}"


def claimed(note: str) -> Claim | None:
    """What the note says, true or not; None if it is none."""
    try:
        return Claim.model_validate_json(_decode(note[:_MAX_NOTE].partition(".")[0]))
    except (ValueError, ValidationError, binascii.Error):
        return None


def holds(note: str, key: bytes, now_s: float | None = None) -> bool:
    """Is the note signed with `key`, and not expired?"""
    body, _, mac = note[:_MAX_NOTE].partition(".")
    claim = claimed(note)
    true = hmac.compare_digest(_encode(_mac(body, key)).encode(), mac.encode(errors="replace"))
    return true and claim is not None and claim.expires_s > (time.time() if now_s is None else now_s)


def derive(secret: bytes, purpose: str) -> bytes:
    """A key of its own for each purpose."""
    return hmac.digest(secret, purpose.encode(), hashlib.sha256)


def kept_secret(folder: Path) -> bytes:
    """The secret in `folder`, made on first use, readable by this user only. Raises DiskError."""
    path = folder / "secret"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _make(path)
        return path.read_bytes()
    except OSError as exc:
        raise disk_error(exc, path) from exc


def _make(path: Path) -> None:
    """Complete or not there, and the first of several processes wins: a link does not replace."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
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
