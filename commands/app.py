"""The command line. Parses arguments, calls the other packages, and turns errors into exit codes.

0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

import contextlib
import json
import re
import signal
import sys
from typing import Annotated

import typer

from commands.lazy_commands import Lazy, LazyGroup
from stream.errors import MatteboxError, OutputClosed
from stream.signals import endings
from stream.suggestions import nearest

INTERRUPTED = 130
__version__ = "0.1.0"

# each with the first paragraph of its help
COMMANDS = {
    "serve": Lazy(
        "commands.serve:serve",
        "Run everything on this machine: the pages, the API, workers, and a Redis server unless REDIS_URL is set.",
    ),
    "file": Lazy("commands.file:file", "Matte videos and pictures.", loads_more=True),
    "subjects": Lazy(
        "commands.subjects:subjects",
        "List what could be a subject in one frame of a video or picture, each with its --subject.",
    ),
    "batch": Lazy("commands.batch:batch", "Matte very many videos on a Ray cluster."),
    "stream": Lazy("commands.stream:stream", "Send a live source, matted, to one or more outputs until Ctrl-C."),
    "camera": Lazy(
        "commands.camera:camera", "Show a camera, matted, as a virtual camera for programs such as Zoom, until Ctrl-C."
    ),
    "web": Lazy(
        "commands.serve:web", "Run only the pages and the API. Needs REDIS_URL. Run as many of them as needed."
    ),
    "worker": Lazy(
        "commands.serve:worker",
        "Run only a worker: for live videos, up to its capacity, and for files, one at a time and with lower priority.",
    ),
    "doctor": Lazy("commands.doctor:doctor", "Check what works on this machine, and what to install for the rest."),
    "eval": Lazy(
        "commands.evaluate:evaluate", "Compare an alpha video with the true alpha: MAD, MSE, Grad, Conn, dtSSD."
    ),
    "models": Lazy("commands.models:app", "Weights: list, download, verify, export, list classes."),
    "jobs": Lazy("commands.jobs:app", "Videos and pictures processed by a server: submit, list, watch, cancel, get."),
    "feeds": Lazy(
        "commands.feeds:app", "Live streams that a server mattes and sends on: add, list, show, set, remove."
    ),
    "bench": Lazy("commands.bench:app", "Benchmarks of this machine."),
}


class _Commands(LazyGroup):
    records = COMMANDS


app = typer.Typer(
    name="mattebox",
    cls=_Commands,
    help="Video matting: cut people out of videos and pictures and replace the background.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(requested: bool) -> None:
    if requested:
        print(f"mattebox {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Video matting: cut people out of video and replace the background."""


def run(quiet: bool = False) -> int:
    """Run the command line. Returns the exit code; an error or an interruption is reported in one line.

    quiet: an interruption is not reported.
    """
    for number in endings():
        signal.signal(number, signal.default_int_handler)
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:  # typer turns Ctrl-C into this by itself
            raise KeyboardInterrupt
    except OutputClosed as exc:  # its reader has what it needs
        return exc.exit_code
    except MatteboxError as exc:
        return _fail(exc.code, str(exc), exc.exit_code)
    except OSError as exc:  # such as a full temporary folder; errors of inputs and outputs are MatteboxErrors
        return _fail("system", f"{exc.strerror or exc}{f': {exc.filename}' if exc.filename else ''}", 1)
    except typer.TyperException as exc:
        message = exc.format_message()  # empty if the help was shown instead
        return _fail("usage", _readable(message), 2) if message else 2
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED if quiet else _fail("interrupted", "interrupted", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _readable(message: str) -> str:
    """A message of typer without the validator's phrases, and with a suggestion for a misspelled value."""
    message = message.replace("Value error, ", "").replace(": Input should be", ": it should be")
    if message.startswith("Option '--key' requires"):  # in a shell, # starts a comment
        return f"{message.rstrip('.')}; quote the colour ('#00ff00'), or leave out the #"
    found = re.search("('[^']*') is not one of ('.*')", message)
    return message.rstrip(".") + nearest(found[1][1:-1], re.findall("'([^']+)'", found[2])) if found else message


def _fail(kind: str, message: str, code: int) -> int:
    with contextlib.suppress(OSError):
        if "--json" in sys.argv:
            print(json.dumps({"event": "error", "code": kind, "message": message}), flush=True)
        print(f"error: {message}", file=sys.stderr)
    return code
