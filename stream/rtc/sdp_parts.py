"""Parsing of SDP: lines, session, media sections, and the syntax of single attributes.

RFC 8866; RFC 8839 for candidates. Knows nothing about codecs or the purpose of a connection.
"""

import re
from dataclasses import dataclass

from stream.errors import SdpError

MAX_BYTES = 128 * 1024
_MAX_SECTIONS = 16

_LINE = re.compile(r"[a-z]=\S.*")
_MEDIA = re.compile(r"m=([a-z]{1,16}) (\d{1,5}) ([A-Z/]{1,32})((?: [!-~]{1,64}){1,64})")
CANDIDATE = re.compile(
    r"(?:candidate:)?([\w+/]{1,32}) (\d{1,3}) ([A-Za-z-]{1,16}) (\d{1,10}) ([!-~]{1,253}) (\d{1,5})"
    r" typ (host|srflx|prflx|relay)((?: [!-~]+)*) ?"
)
_SYNTAX = {  # required syntax of attributes, where present
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
    """One m-line and its attributes, with the session's attributes as defaults."""

    kind: str
    header: str
    attributes: dict[str, list[str]]

    def first(self, name: str) -> str:
        return self.attributes.get(name, [""])[0]

    @property
    def mid(self) -> str:
        return self.first("mid")

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
    invalid = next((line for line in lines if not _LINE.fullmatch(line)), None)
    if invalid is not None or not lines:
        raise SdpError(f"not SDP: {excerpt(invalid or '')}")
    return lines


def split_sections(text: str) -> tuple[list[str], list[list[str]]]:
    """The lines of the session, and those of each media section."""
    session: list[str] = []
    sections: list[list[str]] = []
    for line in lines_of(text):
        if line.startswith("m="):
            sections.append([line])
        else:
            (sections[-1] if sections else session).append(line)
    return session, sections


def parse(text: str) -> tuple[dict[str, list[str]], list[MediaSection]]:
    session_lines, groups = split_sections(text)
    if session_lines[:1] != ["v=0"]:
        raise SdpError("not SDP: it does not begin with v=0")
    if not 0 < len(groups) <= _MAX_SECTIONS:
        raise SdpError(f"the offer has {len(groups)} m-lines; 1 to {_MAX_SECTIONS} are allowed")
    session = _attributes(session_lines)
    inherited = {
        k: v for k, v in session.items() if k in ("ice-ufrag", "ice-pwd", "fingerprint", "setup", *_DIRECTIONS)
    }
    sections = []
    for lines in groups:
        header = _MEDIA.fullmatch(lines[0])
        if header is None or int(header[2]) > 65_535:
            raise SdpError(f"not an m-line: {excerpt(lines[0])}")
        own = _attributes(lines)
        if any(d in own for d in _DIRECTIONS):
            inherited = {k: v for k, v in inherited.items() if k not in _DIRECTIONS}
        sections.append(MediaSection(header[1], lines[0], inherited | own))
    mids = [section.mid for section in sections]
    if len(set(mids)) < len(mids) or not all(mids):
        raise SdpError("every m-line needs a unique a=mid")
    return session, sections


def _attributes(lines: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            check_syntax(name, value)
            found.setdefault(name, []).append(value)
    return found


def check_syntax(name: str, value: str) -> None:
    syntax = _SYNTAX.get(name)
    if syntax is not None and not syntax.fullmatch(value):
        raise SdpError(f"invalid SDP line: {excerpt(f'a={name}:{value}')}")


def excerpt(line: str) -> str:
    text = repr(line)
    return text if len(text) <= 80 else text[:77] + "..."
