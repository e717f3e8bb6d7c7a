"""Shared constants are defined once: literals that belong to one module are not repeated elsewhere.

Strings are taken from the syntax tree, so comments and docstrings may contain them.
"""

import ast
import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stream import limits
from stream.records import http_paths, jobs, live
from stream.records import redis_keys as redis_keys
from stream.records.formats import FORMATS
from stream.records.jobs import REASONS, JobState
from stream.records.live_store import LiveStore
from stream.records.metadata import Metadata
from stream.settings import Settings
from stream.storage import keys
from web import privacy
from web.app import STATIC, create_app
from web.videos.job_requests import JobRequest

ROOT = Path(__file__).parent.parent
PACKAGES = ("stream", "web", "workers", "commands")
MIMES = {kind.mime for kind in FORMATS.values() if not kind.still}  # those of pictures are also those of thumbnails
NAMES = set(FORMATS) | {kind.suffix for kind in FORMATS.values()}
SUFFIX = re.compile(rf"\.({'|'.join(FORMATS)})\b")
STORED = re.compile(rf"(storage://)?({'|'.join(keys.PREFIXES)})")
ENDS = set(live.REASONS) - {live.USAGE, live.BAD_SDP, jobs.POISON, JobState.CANCELLED}  # these are codes of others too
PATTERNS = (limits.NAME, limits.OUTPUT_NAME, limits.RECORD_ID.pattern, limits.FILE_ID.pattern)


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def strings(tree: ast.AST) -> Iterator[str]:
    """All string literals, and the literal parts of f-strings; no docstrings."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def collections(tree: ast.AST) -> Iterator[list[str]]:
    """The strings of each tuple, list and set of literals, and the keys of each dict."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            parts: list[Any] = list(node.elts)
        elif isinstance(node, ast.Dict):
            parts = list(node.keys)
        else:
            continue
        yield [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def format_lists(tree: ast.AST) -> Iterator[str]:
    """Collections and texts with at least two formats."""
    yield from (str(found) for found in collections(tree) if len(NAMES.intersection(found)) > 1)
    yield from (text for text in strings(tree) if len(set(SUFFIX.findall(text))) > 1)


def having(test: Callable[[str], object]) -> Callable[[ast.AST], Iterator[str]]:
    return lambda tree: (text for text in strings(tree) if test(text))


def session_reasons(tree: ast.AST) -> Iterator[str]:
    """As strings, but not as keys: options of a client may have the same names."""
    keys = {id(key) for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys}
    others = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in keys)
    yield from (node.value for node in others if isinstance(node.value, str) and node.value in ENDS)


@dataclass(frozen=True)
class Owned:
    """owner: the only file that may contain what `found` finds. planted: lines in which it must find something.
    innocent: lines in which it must find nothing."""

    owner: str
    found: Callable[[ast.AST], Iterator[str]]
    planted: tuple[str, ...]
    innocent: tuple[str, ...] = ()


OWNED = {
    "storage keys": Owned(
        "stream/storage/keys.py",
        having(STORED.match),
        ('key = f"jobs/{id}/preview.jpg"', 'storage.keys("uploads/")', 'path = "storage://gallery/dusk.jpg"'),
        (
            'PATH = "/api/jobs/"',
            'root / "uploads"',
            '"""Below jobs/ID."""',
            "x = 1  # jobs/ID",
            'log("jobs / workers")',
        ),
    ),
    "Redis keys": Owned(
        "stream/records/redis_keys.py",
        having(lambda text: text.startswith(redis_keys.PREFIX)),
        ('ask("GET", f"mattebox:job:{id}")',),
        ('type = "urn:mattebox:problem"',),
    ),
    "MIME types of results": Owned(
        "stream/records/formats.py",
        having(lambda text: any(mime in text for mime in MIMES)),
        ('mime = "video/mp4"', 'x = f"video/webm;codecs={codec}"', 'd = {"png": "application/zip"}'),
        ('picture = "image/jpeg"', 'x = "application/json"'),
    ),
    "lists of formats": Owned(
        "stream/records/formats.py",
        format_lists,
        ('F = ("mp4", "webm")', 'L = Literal["gif", "png"]', 'd = {".mp4": 1, ".mkv": 2}', 'help = "a .mp4 or .mkv"'),
        ('x = chosen["mp4"]', 'container = "mov" if first else "nut"', 'path = "out.mp4"'),
    ),
    "patterns of names and ids": Owned(
        "stream/limits.py",
        having(lambda text: any(pattern in text for pattern in PATTERNS)),
        ('Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")', 're.compile(r"[0-9a-f]{32}")'),
        ('re.compile(r"[0-9a-f]{64}")',),
    ),
    "paths of the HTTP API": Owned(
        "stream/records/http_paths.py",
        having(
            lambda text: (
                text.startswith((http_paths.JOBS, http_paths.UPLOADS))
                or text in (http_paths.TUS_HEADER, http_paths.TUS_TYPE)
            )
        ),
        ('ask("GET", "/api/jobs")', 'ask("GET", f"/api/uploads/{id}")', 'headers = {"Tus-Resumable": version}'),
        ('ask("GET", "/api/options")',),
    ),
    "reasons of jobs shared with Redis scripts": Owned(
        "stream/records/jobs.py",
        having(lambda text: text == jobs.POISON),
        ('reason = "poison"',),
        ('detail = "poison kills"',),
    ),
    "reasons of sessions": Owned(
        "stream/records/live.py",
        session_reasons,
        (
            'Answer(problem="no_stream")',
            'reason = "dtls_failed" if failed else "connect_timeout"',
            'end(id, "deleted")',
        ),
        (
            'detail = "no_stream here"',
            "timeout = settings.connect_timeout_s",
            'client = {"connect_timeout": "5s"}',
            'detail = "deleted by its owner"',
        ),
    ),
}


@pytest.mark.parametrize("kind", OWNED)
def test_it_is_defined_in_one_place(kind: str) -> None:
    owned = OWNED[kind]
    assert list(owned.found(tree_of(ROOT / owned.owner))), f"{owned.owner} contains none: check the rule"
    others = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if path != ROOT / owned.owner)
    strays = {
        path.relative_to(ROOT).as_posix(): found for path in others if (found := list(owned.found(tree_of(path))))
    }
    assert not strays, f"{kind} belong to {owned.owner}"


@pytest.mark.parametrize(("kind", "line"), [(kind, line) for kind, owned in OWNED.items() for line in owned.planted])
def test_a_stray_literal_is_found(kind: str, line: str) -> None:
    assert list(OWNED[kind].found(ast.parse(line)))


@pytest.mark.parametrize(("kind", "line"), [(kind, line) for kind, owned in OWNED.items() for line in owned.innocent])
def test_a_similar_literal_is_not_found(kind: str, line: str) -> None:
    assert not list(OWNED[kind].found(ast.parse(line)))


def test_redis_scripts_get_their_constants_from_python() -> None:
    scripts = list((ROOT / "stream/records/lua").rglob("*.lua"))
    of_jobs = (jobs.PLAN, jobs.JOIN, jobs.SEGMENT, jobs.POISON, jobs.TOO_MANY, jobs.OVER_QUOTA)
    shared = (*of_jobs, *ENDS, live.FULL)
    words = [redis_keys.PREFIX, *(f"'{text}'" for text in shared)]
    assert len(scripts) > 20
    assert not {script.name: word for script in scripts for word in words if word in script.read_text()}


# The pages' scripts cannot import Python: the constants that they repeat are compared.


def read(name: str) -> str:
    return (STATIC / name).read_text()


def constant(script: str, name: str) -> str:
    """A constant's value in a script, as text."""
    found = re.search(rf"const {name} = (.*?);\n", read(script), re.DOTALL)
    assert found, f"{script} has no {name}"
    return found[1]


def test_the_videos_page_names_no_format() -> None:
    texts = {path.name: path.read_text() for path in (STATIC / "videos").iterdir() if path.suffix in (".js", ".html")}
    assert "server_options.js" in texts
    quoted = re.compile(rf"[\"'`]({'|'.join([*FORMATS, *map(re.escape, MIMES)])})[\"'`]")
    assert quoted.search('const TRANSPARENT = ["webm", "mov"];')
    assert quoted.search('<option value="mp4">')
    assert not {name: found.groups() for name, text in texts.items() if (found := quoted.search(text))}


def test_the_videos_page_knows_the_states_and_reasons_of_jobs() -> None:
    keys_of = re.compile(r"^  (\w+): ", re.MULTILINE)
    assert set(re.findall(r'"(\w+)"', constant("videos/joblist.js", "FINAL"))) == {s for s in JobState if s.final}
    assert set(keys_of.findall(constant("videos/words.js", "STATES"))) == set(JobState)
    reasons = set(keys_of.findall(constant("videos/words.js", "REASONS")))
    assert len(reasons) > 5
    assert reasons <= REASONS


def test_the_videos_page_uses_the_tus_constants_of_the_server() -> None:
    assert constant("videos/tus.js", "PATH") == f'"{http_paths.UPLOADS}"'
    assert constant("videos/tus.js", "VERSION") == f'{{ "{http_paths.TUS_HEADER}": "{http_paths.TUS_VERSION}" }}'
    assert f'"{http_paths.TUS_TYPE}"' in read("videos/tus.js")
    with_header = [
        script.name for script in (STATIC / "videos").glob("*.js") if http_paths.TUS_HEADER in script.read_text()
    ]
    assert with_header == ["tus.js"]


def test_the_videos_page_lists_the_choices_of_metadata() -> None:
    choices = re.findall(r'[{,] "?([\w-]+)"?: "', constant("videos/words.js", "METADATA"))
    assert choices[0] == JobRequest.model_fields["metadata"].default
    assert sorted(choices) == sorted(Metadata)


def test_the_studio_gives_the_servers_advice_on_udp() -> None:
    assert constant("shared/words.js", "UDP_ADVICE") == f'"{live.UDP_ADVICE}"'


def test_the_studio_knows_which_options_show_the_room() -> None:
    assert re.findall(r'"([\w-]+)"', constant("studio/privacy.js", "ROOM_VIEWS")) == list(privacy.ROOM_VIEWS)
    assert constant("studio/privacy.js", "ROOM_BACKGROUND") == f'"{privacy.ROOM_BACKGROUND}"'
    assert float(constant("studio/privacy.js", "LEAST_BLUR")) == privacy.LEAST_BLUR


def test_the_studio_has_the_same_limits_for_names_and_links_as_the_server() -> None:
    page = read("studio/studio.html")
    name = re.search(r'id="share-name" pattern="([^"]*)"', page)
    assert name
    assert name[1].replace(r"\-", "-") == limits.NAME, (
        "in a page's pattern a dash in brackets is written with a backslash"
    )
    lasts = re.search(r'<select id="share-lasts">(.*?)</select>', page, re.DOTALL)
    assert lasts
    assert max(map(int, re.findall(r'value="(\d+)"', lasts[1]))) == limits.STREAM_LINK_S


def test_pages_request_only_existing_paths(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path), LiveStore("redis://127.0.0.1:1"))
    known = [re.compile(re.sub(r"\{\w+\}", "[^/]+", path)) for path in app.openapi()["paths"]]
    requested = {
        re.sub(r"\$\{[^}]*\}", "x", address)
        for script in STATIC.rglob("*.js")
        for address in re.findall(r'["`](/api/[^"`?]*)["`?]', script.read_text())
    }
    assert len(requested) > 8
    assert not {address for address in requested if not any(path.fullmatch(address) for path in known)}
