"""Authentication: access tokens for users, cookies for browsers, signed links for players that cannot set headers.

Without access tokens there is one user, whose name is "", and the server listens on loopback only. Users own what
they create; another user's resources do not exist for them (404).
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
from web.http.signing import Claim, Scope, derive, is_valid, load_secret, read_claim, sign

COOKIE = "mattebox"
LOGIN_S = 7 * 86_400
SINGLE_USER = "user"  # the name of MATTEBOX_TOKEN's user


def read_tokens(settings: Settings) -> dict[str, str]:
    """Map user names to their access tokens. Raises UsageError, whose message never contains a token."""
    users: dict[str, str] = {}
    for entry in filter(None, (e.strip() for e in settings.tokens.get_secret_value().split(","))):
        name, _, token = (part.strip() for part in entry.partition(":"))
        if not re.fullmatch(limits.NAME, name) or not token or name in users:
            raise UsageError("MATTEBOX_TOKENS must be name:token,name:token with each name once")
        users[name] = token
    if single := settings.token.get_secret_value().strip():
        users.setdefault(SINGLE_USER, single)
    if len(set(users.values())) < len(users):
        raise UsageError("MATTEBOX_TOKENS: two users have the same token")
    return users


def bearer_token(headers: Mapping[str, str]) -> str:
    """The token in the Authorization header; "" if there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


@dataclass(frozen=True)
class Visitor:
    """An authenticated client.

    owner: the user it acts for. scope: "login" may do everything that the owner may; any other scope allows one
    action on one resource, whose name is `name`.
    """

    owner: str
    scope: Scope = "login"
    name: str = ""


class Gate:
    """Authenticates requests. Holds the users and the key that cookies and links are signed with."""

    def __init__(self, settings: Settings) -> None:
        self._users = read_tokens(settings)
        configured = settings.secret.get_secret_value().encode()
        self._secret = derive(configured or load_secret(settings.data_dir), "mattebox notes")  # a fixed key label

    @property
    def fingerprint(self) -> str:
        """The same for all web processes with the same secret, which it does not reveal."""
        return derive(self._secret, "fingerprint").hex()

    @property
    def open(self) -> bool:
        """Whether no access tokens are set: any client that reaches the server acts as its single user."""
        return not self._users

    def user_of(self, token: str) -> str | None:
        """The user with this access token, or None. Runs in constant time."""
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        found = None
        for name, known in self._users.items():
            if hmac.compare_digest(digest, hashlib.sha256(known.encode()).digest()):
                found = name
        return found

    def issue(self, scope: Scope, owner: str, name: str, lifetime_s: float) -> str:
        """A signed token for a cookie or a link, which expires after `lifetime_s` seconds."""
        claim = Claim(scope=scope, owner=owner, name=name, expires_s=round(time.time() + lifetime_s, 3))
        return sign(claim, self._key(owner))

    def webhook_key(self, owner: str) -> bytes:
        """The key of 32 bytes that signs the owner's webhook calls."""
        return derive(self._key(owner), "webhooks")

    def verify(self, signed: str) -> Visitor | None:
        """The visitor of a signed token, or None. It becomes invalid when its owner's access token changes."""
        claim = read_claim(signed)
        if claim is None or (claim.owner not in self._users and not (self.open and claim.owner == "")):
            return None
        return Visitor(claim.owner, claim.scope, claim.name) if is_valid(signed, self._key(claim.owner)) else None

    def _key(self, owner: str) -> bytes:
        return derive(self._secret, f"{owner} {self._users.get(owner, '')}")

    def visitor(self, request: Request) -> Visitor:
        """The sender of the request, by a link in its query or by its cookie. Raises Problem 401 if it has neither and
        needs one."""
        visitor = self.link(request.query_params.get("token", "")) or self._from_cookie(request)
        if visitor is not None:
            return visitor
        if self.open:
            return Visitor("")
        raise Problem(401, "sign_in", "this needs an access token", WWW_Authenticate='Bearer realm="mattebox"')

    def link(self, signed: str) -> Visitor | None:
        """The visitor of a signed link's token, or None."""
        visitor = self.verify(signed)
        return visitor if visitor is not None and visitor.scope != "login" else None

    def is_link(self, signed: str) -> bool:
        """Whether the text is the token of a valid signed link."""
        return self.link(signed) is not None

    def _from_cookie(self, request: Request) -> Visitor | None:
        visitor = self.verify(request.cookies.get(COOKIE, ""))
        return visitor if visitor is not None and visitor.scope == "login" else None
