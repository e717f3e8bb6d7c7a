"""Who asks: users by token, cookies for browsers, signed links for players that can set no header.

Without tokens there is one user, whose name is "", and the server listens on loopback only. A user owns what they
make; what belongs to another does not exist for them.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request

from stream import limits
from stream.errors import UsageError
from stream.settings import Settings
from web.http.problems import Problem
from web.http.signing import Claim, Scope, claimed, derive, holds, kept_secret, sign

COOKIE = "mattebox"
LOGIN_S = 7 * 86_400
SINGLE_USER = "user"  # whom MATTEBOX_TOKEN alone names


def read_tokens(settings: Settings) -> dict[str, str]:
    """User name to token. Raises UsageError, which never repeats a token."""
    users: dict[str, str] = {}
    for entry in filter(None, (e.strip() for e in settings.tokens.get_secret_value().split(","))):
        name, _, token = (part.strip() for part in entry.partition(":"))
        if not re.fullmatch(limits.NAME, name) or not token or name in users:
            raise UsageError("MATTEBOX_TOKENS wants name:token,name:token with each name once")
        users[name] = token
    if single := settings.token.get_secret_value().strip():
        users.setdefault(SINGLE_USER, single)
    if len(set(users.values())) < len(users):
        raise UsageError("MATTEBOX_TOKENS: two users have the same token")
    return users


@dataclass(frozen=True)
class Visitor:
    """owner: in whose name; scope: "login" may do all that the owner may, the others one thing to one stream."""

    owner: str
    scope: Scope = "login"
    name: str = ""


class Gate:
    """Knows the users and the key that notes are signed with."""

    def __init__(self, settings: Settings) -> None:
        self._users = read_tokens(settings)
        given = settings.secret.get_secret_value().encode()
        self._secret = derive(given or kept_secret(settings.data_dir), "mattebox notes")

    @property
    def open(self) -> bool:
        """No tokens are set: whoever can reach the server is its user."""
        return not self._users

    def user_of(self, token: str) -> str | None:
        """The user with that token; takes as long for a wrong one as for a right one."""
        given = hashlib.sha256(token.encode(errors="replace")).digest()
        found = None
        for name, known in self._users.items():
            if hmac.compare_digest(given, hashlib.sha256(known.encode()).digest()):
                found = name
        return found

    def note(self, scope: Scope, owner: str, name: str, lasts_s: float) -> str:
        claim = Claim(scope=scope, owner=owner, name=name, expires_s=round(time.time() + lasts_s, 3))
        return sign(claim, self._key(owner))

    def webhook_secret(self, owner: str) -> str:
        """What calls to the owner's webhooks are signed with, in hexadecimal digits."""
        return derive(self._key(owner), "webhooks").hex()

    def read(self, note: str) -> Visitor | None:
        """Whom a note speaks for. It dies with its owner's token."""
        claim = claimed(note)
        if claim is None or (claim.owner not in self._users and not (self.open and claim.owner == "")):
            return None
        return Visitor(claim.owner, claim.scope, claim.name) if holds(note, self._key(claim.owner)) else None

    def _key(self, owner: str) -> bytes:
        return derive(self._secret, f"{owner} {self._users.get(owner, '')}")

    def visitor(self, request: Request) -> Visitor:
        """Who sent the request. Raises Problem 401 when nobody that is known."""
        visitor = self._by_header(request.headers) or self._by_link(request) or self._by_cookie(request)
        if visitor is not None:
            return visitor
        if self.open:
            return Visitor("")
        raise Problem(401, "sign_in", "this needs a token", WWW_Authenticate='Bearer realm="mattebox"')

    def _by_header(self, headers: Mapping[str, str]) -> Visitor | None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        user = self.user_of(token.strip())
        return Visitor(user) if user is not None else self._link(token.strip())

    def _by_link(self, request: Request) -> Visitor | None:
        return self._link(request.query_params.get("token", ""))

    def _link(self, note: str) -> Visitor | None:
        visitor = self.read(note)
        return visitor if visitor is not None and visitor.scope != "login" else None

    def _by_cookie(self, request: Request) -> Visitor | None:
        visitor = self.read(request.cookies.get(COOKIE, ""))
        return visitor if visitor is not None and visitor.scope == "login" else None
