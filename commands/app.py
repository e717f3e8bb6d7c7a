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

from commands import batch, bench, camera, doctor, evaluate, feeds, file, jobs, models, serve, stream, subjects
from stream.errors import MatteboxError, OutputClosed
from stream.signals import endings
from stream.suggestions import nearest

INTERRUPTED = 130
__version__ = "0.1.0"

app = typer.Typer(
    name="mattebox",
    help="Video matting: cut people out of videos and pictures and replace the background.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    serve.serve, file.file, subjects.subjects, batch.batch, stream.stream, camera.camera, serve.web, serve.worker,
    doctor.doctor,
):  # fmt: skip
    app.command()(command)


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


app.command("eval")(evaluate.evaluate)
app.add_typer(models.app, name="models")
app.add_typer(jobs.app, name="jobs")
app.add_typer(feeds.app, name="feeds")
app.add_typer(bench.app, name="bench")


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
