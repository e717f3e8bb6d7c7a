"""Addresses of sources and sinks: a file, a network address, a device, a generated pattern.

Does not know which schemes exist: the registries in `stream/sources` and `stream/sinks` do. An address may contain a
password or a stream key: its text form omits them, and no error message quotes an address.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from stream.errors import UsageError
from stream.fetch.urls import parsed

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_LONGEST = 4096  # characters of a network address
_SHOWS_PATH = ("rtsp", "rtsps")  # in other schemes the path may be a stream key


@dataclass(frozen=True, repr=False)
class Address:
    """SCHEME://HOST[:PORT]/PATH, SCHEME:NAME, or the path of a file.

    scheme: in lower case; "file" for a path. rest: the text after the first colon, unchanged; for a file, its path.
    str() and repr() omit user, password, query and everything else that may be secret.
    """

    scheme: str
    rest: str

    @classmethod
    def file(cls, path: Path) -> Self:
        """The address of the file or folder at `path`; its name may contain any characters."""
        return cls("file", str(path))

    @classmethod
    def of(cls, address: Self | Path) -> Self:
        """The address itself, or that of the file at a path."""
        return cls.file(address) if isinstance(address, Path) else address

    @classmethod
    def read(cls, text: str, schemes: Collection[str] = ()) -> Self:
        """Parse an address. Text without "://" is a path, unless it starts with one of `schemes` and a colon.

        Raises UsageError for an invalid network address, without quoting it, and for a NUL character.
        """
        _check_nul(text)
        scheme, mark, rest = text.partition("://")
        if not mark:
            scheme, _, rest = text.partition(":")
            if scheme.lower() not in schemes:
                return cls.file(Path(text))
        if not _SCHEME.fullmatch(scheme):
            raise UsageError("neither a file name nor an address such as rtsp://HOST/PATH")
        address = cls(scheme.lower(), f"//{rest}" if mark else rest)
        if address.scheme == "file":
            return cls.file(address._local_path())
        if mark:
            address._check()
        return address

    @property
    def url(self) -> str:
        """The complete address, including secrets: only for the library that opens it."""
        return f"{self.scheme}:{self.rest}"

    @property
    def path(self) -> Path:
        """Path of a file. Raises UsageError for any other address."""
        if self.scheme != "file":
            raise UsageError(f"{self.scheme}:// is not a file name")
        return Path(self.rest)

    @property
    def name(self) -> str:
        """The text after SCHEME: or SCHEME://, for schemes that are not network addresses."""
        return self.rest.removeprefix("//")

    @property
    def has_user(self) -> bool:
        """Whether it contains a user name."""
        return "@" in self._netloc

    def check_host(self) -> None:
        """Raise UsageError unless the address has a host: SCHEME://HOST has one, SCHEME:NAME has none."""
        if not self._netloc:
            raise UsageError(self._expected())

    def __str__(self) -> str:
        if self.scheme == "file":
            return self.rest
        if not self._netloc:
            return f"{self.scheme}:{'' if '@' in self.rest else self.rest}"
        path = urlsplit(self.url).path if self.scheme in _SHOWS_PATH else ""
        return f"{self.scheme}://{self._netloc.rpartition('@')[2]}{'' if re.search(r'[@=;]', path) else path}"

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"

    @property
    def _netloc(self) -> str:
        return "" if self.scheme == "file" else urlsplit(self.url).netloc

    def _local_path(self) -> Path:
        """The path of file:PATH, file:///PATH or file://localhost/PATH; only the last two use percent-encoding."""
        if not self.rest.startswith("//"):
            return Path(self.rest)
        host, slash, path = self.rest[2:].partition("/")
        if host not in ("", "localhost") or not path:
            raise UsageError("write the address of a file as file:///PATH")
        _check_nul(unquote(path))
        return Path(slash + unquote(path))

    def _check(self) -> None:
        if len(self.url) > _LONGEST or re.search(r"[\x00-\x20\x7f]", self.url):
            raise UsageError("the address is too long, or contains spaces or control characters")
        parts = parsed(self.url, (self.scheme,))
        if parts is None:
            raise UsageError(self._expected())
        if "@" in parts.path or ("@" in parts.query + parts.fragment and not parts.path and "@" not in parts.netloc):
            raise UsageError("in an address, write / ? # @ within a user name or password as %2F %3F %23 %40")

    def _expected(self) -> str:
        return f"write the address as {self.scheme}://HOST[:PORT]/PATH"


def _check_nul(text: str) -> None:
    if "\0" in text:
        raise UsageError("an address or the name of a file cannot contain a NUL character")


def with_password(url: str, password: bytes) -> str:
    """Add a password to a network address: for its user, or for SRT as the passphrase. Raises UsageError, which quotes
    neither."""
    address = Address.read(url)
    if address.scheme == "srt":
        return _with_passphrase(address, password)
    user = address._netloc.rpartition("@")[0]
    if not user or ":" in user:
        raise UsageError("a password file needs an address with a user and without a password: rtsp://USER@HOST/PATH")
    return address.url.replace(f"{user}@", f"{user}:{quote(password, safe='')}@", 1)


def _with_passphrase(address: Address, passphrase: bytes) -> str:
    query = urlsplit(address.url).query
    if any(part.startswith("passphrase=") for part in query.split("&")):
        raise UsageError("the address has a passphrase already")
    return f"{address.url}{'&' if query else '' if '?' in address.url else '?'}passphrase={quote(passphrase, safe='')}"
