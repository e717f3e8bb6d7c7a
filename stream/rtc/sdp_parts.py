"""The text of an SDP description, taken apart: lines, the session, its parts, and what each line must look like.

RFC 8866; RFC 8839 for candidates. Knows nothing about codecs or about what a connection is for.
"""

import re
from dataclasses import dataclass

from stream.errors import SdpError

MAX_BYTES = 128 * 1024
_MAX_PARTS = 16

_LINE = re.compile(r"[a-z]=\S.*")
_MEDIA = re.compile(r"m=([a-z]{1,16}) (\d{1,5}) ([A-Z/]{1,32})((?: [!-~]{1,64}){1,64})")
CANDIDATE = re.compile(
    r"(?:candidate:)?([\w+/]{1,32}) (\d{1,3}) ([A-Za-z-]{1,16}) (\d{1,10}) ([!-~]{1,253}) (\d{1,5})"
    r" typ (host|srflx|prflx|relay)((?: [!-~]+)*) ?"
)
_FORMS = {  # what must look like this where it stands
    "ice-ufrag": re.compile(r"[\w+/-]{4,256}"),
    "ice-pwd": re.compile(r"[\w+/-]{22,256}"),
    "fingerprint": re.compile(r"[\w-]{1,32} [0-9A-Fa-f:]{2,256}"),
    "setup": re.compile(r"actpass|active|passive"),
    "mid": re.compile(r"[!-~]{1,16}"),
    "rtpmap": re.compile(r"\d{1,3} [\w.-]+/\d{1,9}(/\d{1,2})?"),
    "fmtp": re.compile(r"\d{1,3} .+"),
    "candidate": CANDIDATE,
}
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")


@dataclass(frozen=True)
class MediaSection:
    """One m-line and what stands under it, with the session's own attributes where it has none."""

    kind: str
    header: str
    attributes: dict[str, list[str]]

    def one(self, name: str) -> str:
        return self.attributes.get(name, [""])[0]

    @property
    def mid(self) -> str:
        return self.one("mid")

    @property
    def direction(self) -> str:
        return next((d for d in _DIRECTIONS if d in self.attributes), "sendrecv")

    @property
    def sends(self) -> bool:
        return self.direction in ("sendrecv", "sendonly")

    @property
    def receives(self) -> bool:
        return self.direction in ("sendrecv", "recvonly")


def lines_of(text: str) -> list[str]:
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise SdpError(f"the description is larger than {MAX_BYTES // 1024} KiB")
    lines = [line.rstrip() for line in re.split(r"\r?\n", text) if line.strip()]
    wrong = next((line for line in lines if not _LINE.fullmatch(line)), None)
    if wrong is not None or not lines:
        raise SdpError(f"this is no SDP: {shown(wrong or '')}")
    return lines


def grouped(text: str) -> tuple[list[str], list[list[str]]]:
    """Lines of the session, and those of each part."""
    session: list[str] = []
    parts: list[list[str]] = []
    for line in lines_of(text):
        if line.startswith("m="):
            parts.append([line])
        else:
            (parts[-1] if parts else session).append(line)
    return session, parts


def parse(text: str) -> tuple[dict[str, list[str]], list[MediaSection]]:
    session_lines, groups = grouped(text)
    if session_lines[:1] != ["v=0"]:
        raise SdpError("this is no SDP: it does not begin with v=0")
    if not 0 < len(groups) <= _MAX_PARTS:
        raise SdpError(f"the offer has {len(groups)} m-lines; 1 to {_MAX_PARTS} are taken")
    session = _attributes(session_lines)
    inherited = {
        k: v for k, v in session.items() if k in ("ice-ufrag", "ice-pwd", "fingerprint", "setup", *_DIRECTIONS)
    }
    parts = []
    for lines in groups:
        header = _MEDIA.fullmatch(lines[0])
        if header is None or int(header[2]) > 65_535:
            raise SdpError(f"not an m-line: {shown(lines[0])}")
        own = _attributes(lines)
        if any(d in own for d in _DIRECTIONS):
            inherited = {k: v for k, v in inherited.items() if k not in _DIRECTIONS}
        parts.append(MediaSection(header[1], lines[0], inherited | own))
    mids = [part.mid for part in parts]
    if len(set(mids)) < len(mids) or not all(mids):
        raise SdpError("every m-line needs an a=mid of its own")
    return session, parts


def _attributes(lines: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            check_form(name, value)
            found.setdefault(name, []).append(value)
    return found


def check_form(name: str, value: str) -> None:
    form = _FORMS.get(name)
    if form is not None and not form.fullmatch(value):
        raise SdpError(f"cannot be read: {shown(f'a={name}:{value}')}")


def shown(line: str) -> str:
    text = repr(line)
    return text if len(text) <= 80 else text[:77] + "..."
