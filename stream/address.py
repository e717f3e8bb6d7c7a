"""Where a video comes from or goes to, in one type: a file, a network address, a device, a generated pattern.

Knows nothing about which schemes exist: the registries in `stream/sources` and `stream/sinks` do. An address may hold
a password or a stream key: it is shown without, and no error quotes it.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from stream.errors import UsageError
from stream.fetch.addresses import parsed

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_LONGEST = 4096  # characters of a network address
_SHOWS_PATH = ("rtsp", "rtsps")  # elsewhere the path may be a stream key


@dataclass(frozen=True, repr=False)
class Address:
    """SCHEME://HOST[:PORT]/PATH, SCHEME:NAME, or the path of a file.

    scheme: in lower case; "file" for a path. rest: what follows the first colon as it was written; of a file its path.
    str() and repr() leave out user, password, query, and all that may hold a secret.
    """

    scheme: str
    rest: str

    @classmethod
    def file(cls, path: Path) -> Self:
        """The address of the file or folder at `path`, whatever characters its name has."""
        return cls("file", str(path))

    @classmethod
    def of(cls, place: Self | Path) -> Self:
        """`place` itself, or the address of the file at that path."""
        return cls.file(place) if isinstance(place, Path) else place

    @classmethod
    def read(cls, text: str, schemes: Collection[str] = ()) -> Self:
        """What a person wrote. Text without "://" is a path, unless one of `schemes` and a colon begin it.

        Raises UsageError, which quotes nothing of it, for a network address that is not valid.
        """
        scheme, mark, rest = text.partition("://")
        if not mark:
            scheme, _, rest = text.partition(":")
            if scheme.lower() not in schemes:
                return cls.file(Path(text))
        if not _SCHEME.fullmatch(scheme):
            raise UsageError("that is neither the name of a file nor an address such as rtsp://HOST/PATH")
        address = cls(scheme.lower(), f"//{rest}" if mark else rest)
        if address.scheme == "file":
            return cls.file(address._local_path())
        if mark:
            address._check()
        return address

    @property
    def url(self) -> str:
        """All of it, secrets too: for the library that opens it."""
        return f"{self.scheme}:{self.rest}"

    @property
    def path(self) -> Path:
        """Of a file. Raises UsageError for any other address."""
        if self.scheme != "file":
            raise UsageError(f"{self.scheme}:// is no name of a file")
        return Path(self.rest)

    @property
    def name(self) -> str:
        """What follows SCHEME: or SCHEME://, for schemes that are not of the network."""
        return self.rest.removeprefix("//")

    @property
    def has_user(self) -> bool:
        return "@" in self._netloc

    def check_host(self) -> None:
        """Raises UsageError unless it names a host, as SCHEME://HOST does and SCHEME:NAME does not."""
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
        """Of file:PATH, file:///PATH or file://localhost/PATH; only the latter two escape characters with %."""
        if not self.rest.startswith("//"):
            return Path(self.rest)
        host, slash, path = self.rest[2:].partition("/")
        if host not in ("", "localhost") or not path:
            raise UsageError("the address of a file is written as file:///PATH")
        return Path(slash + unquote(path))

    def _check(self) -> None:
        if len(self.url) > _LONGEST or re.search(r"[\x00-\x20\x7f]", self.url):
            raise UsageError("the address is too long, or holds spaces or control characters")
        parts = parsed(self.url, (self.scheme,))
        if parts is None:
            raise UsageError(self._expected())
        if "@" in parts.path or ("@" in parts.query + parts.fragment and not parts.path and "@" not in parts.netloc):
            raise UsageError("in the address, write / ? # @ in a user or password as %2F %3F %23 %40")

    def _expected(self) -> str:
        return f"the address is written as {self.scheme}://HOST[:PORT]/PATH"


def with_password(url: str, password: bytes) -> str:
    """The network address, with the password of the user whom it names. Raises UsageError, which quotes neither."""
    address = Address.read(url)
    user = address._netloc.rpartition("@")[0]
    if not user or ":" in user:
        raise UsageError("a password from a file is for an address with a user and without one: rtsp://USER@HOST/PATH")
    return address.url.replace(f"{user}@", f"{user}:{quote(password, safe='')}@", 1)
