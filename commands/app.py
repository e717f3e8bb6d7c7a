"""The command line: thin. It reads words, calls `stream` and `workers`, and turns errors into exit codes.

0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

import contextlib
import json
import signal
import sys
from typing import Annotated

import typer

from commands import bench, examine, file, jobs, live, models, stream
from stream.errors import MatteboxError
from stream.signals import endings

INTERRUPTED = 130
__version__ = "0.1.0"

app = typer.Typer(
    name="mattebox",
    help="Cut people out of video and put them in front of something else.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (live.serve, file.file, stream.stream, live.web, live.worker, examine.doctor):
    app.command()(command)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mattebox {__version__}")
        raise typer.Exit


@app.callback()
def _words(
    version: Annotated[
        bool, typer.Option("--version", help="Say which version this is.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Cut people out of video and put them in front of something else."""


app.command("eval")(examine.evaluate)
app.add_typer(models.app, name="models")
app.add_typer(jobs.app, name="jobs")
app.add_typer(bench.app, name="bench")


def run() -> int:
    """Do as the words say; gives the exit code. Errors, and an interruption, become one line."""
    for number in endings():
        signal.signal(number, signal.default_int_handler)
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:  # typer turns Ctrl-C into this by itself
            raise KeyboardInterrupt
    except MatteboxError as exc:
        return _fail(exc.code, str(exc), exc.exit_code)
    except OSError as exc:  # such as a full temporary folder; what belongs to an input or output has its own error
        return _fail("system", f"{exc.strerror or exc}{f': {exc.filename}' if exc.filename else ''}", 1)
    except typer.TyperException as exc:
        said = exc.format_message()  # nothing where the help was shown instead
        return _fail("usage", said, 2) if said else 2
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", "interrupted", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _fail(kind: str, message: str, code: int) -> int:
    with contextlib.suppress(OSError):
        if "--json" in sys.argv:
            print(json.dumps({"event": "error", "code": kind, "message": message}), flush=True)
        print(f"error: {message}", file=sys.stderr)
    return code
