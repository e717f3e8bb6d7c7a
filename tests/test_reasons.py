"""Every reason with which the code ends a live session is listed in `stream/records/live.py`, and no other. Workers
answer with the problems that web knows."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from stream.records import jobs, live
from stream.records.live import REASONS, SessionState
from web.live import offers

ROOT = Path(__file__).parent.parent
PYTHON = ("stream/rtc/peer.py", "workers/live/*.py", "web/live/*.py")
ENDING = {"end", "end_all", "close", "_abandon", "_start_closing"}  # methods that take a reason
CONSTANTS = {
    name: value for name, value in vars(live).items() if name.isupper() and isinstance(value, str) and value in REASONS
}
LUA = re.compile(rf"'(\w+)'|\b({'|'.join(CONSTANTS)})\b")


def texts(node: ast.AST) -> Iterator[str]:
    """The text values that an expression can have, as far as they are literals or known constants."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.Name(id=name) if name in CONSTANTS:
            yield CONSTANTS[name]
        case ast.IfExp(body=body, orelse=orelse):
            yield from texts(body)
            yield from texts(orelse)


def in_python(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(attr=name), args=args) if name in ENDING:
                yield from (text for arg in args for text in texts(arg))
            case ast.Call(func=ast.Name(id=name), args=args) if name in ENDING:
                yield from (text for arg in args for text in texts(arg))
            case ast.Call(func=ast.Name(id="Answer")):
                yield from answered(node)
            case ast.Assign(targets=[ast.Name(id="reason")], value=value):
                yield from texts(value)


def answered(tree: ast.AST) -> Iterator[str]:
    """The problems of the answers that are constructed."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="Answer"), keywords=keywords):
                yield from (text for word in keywords if word.arg == "problem" for text in texts(word.value))


def in_lua(path: Path) -> Iterator[str]:
    for line in path.read_text().splitlines():
        for call in re.findall(r"take_away\(\w+, (.*)", line):
            yield from (CONSTANTS.get(constant, text) for text, constant in LUA.findall(call))
        yield from (
            CONSTANTS.get(constant, text) for text, constant in re.findall(rf"reason = (?:{LUA.pattern})", line)
        )


def test_the_reasons_of_live_sessions_are_listed() -> None:
    python = {reason for pattern in PYTHON for path in ROOT.glob(pattern) for reason in in_python(path)}
    lua = {reason for path in (ROOT / "stream/records/lua/live").glob("*.lua") for reason in in_lua(path)}
    assert {"bye", "drained", "usage", live.NO_STREAM, "cancelled"} < python
    assert {"no_worker", "no_answer", "worker_lost", "replaced", jobs.POISON} < lua
    assert (python | lua) - set(SessionState) == set(REASONS)


def test_workers_answer_with_the_problems_that_web_knows() -> None:
    sent = {problem for path in ROOT.glob("workers/**/*.py") for problem in answered(ast.parse(path.read_text()))}
    assert sent == set(live.WORKER_PROBLEMS)
    assert set(offers.CLIENT_ERRORS) | {live.NO_STREAM} == sent
