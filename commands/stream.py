"""`mattebox stream`: sends a live source, matted, to files and servers."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from commands import shared_options
from commands.matting_options import MattingOptions, with_matting_options
from commands.overwriting import check_existing
from stream.errors import UsageError
from stream.records.formats import VIDEO_NAMES
from stream.records.options import Edges

_MAX_PASSWORD = 1024  # bytes
_BITRATES_BPS = (100_000, 200_000_000)


class Audio(StrEnum):
    """What is sent of the sound."""

    COPY = "copy"
    OFF = "off"


@with_matting_options
def stream(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC", help="Address of a live source, such as rtsp://[USER[:PASSWORD]@]HOST[:PORT]/PATH."
        ),
    ],
    outputs: Annotated[
        list[str],
        typer.Argument(
            metavar="DST...",
            help="The outputs: files, whose names set the format "
            f"({VIDEO_NAMES}, or .m3u8 for HLS), and addresses such as rtmp://HOST/APP/KEY.",
        ),
    ],
    matting: MattingOptions,
    edges: Edges,
    duration: Annotated[
        str | None, typer.Option(metavar="S", help="Stop after this time: seconds or h:mm:ss; by default at Ctrl-C.")
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File whose first line is the password of the user in SRC; keeps it out of the process list.",
        ),
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Play a file again at its end.")] = False,
    bitrate: Annotated[
        str | None,
        typer.Option(metavar="BPS", help="Video bits per second of each output, such as 4M; by default by its size."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=1, max=240, metavar="FPS", help="Maximum frames per second of the outputs.")
    ] = None,
    audio: Annotated[
        Audio, typer.Option(help="Send sound (converted where an output needs it), or none.")
    ] = Audio.COPY,
    token: Annotated[str | None, typer.Option(metavar="TOKEN", help="Token for outputs that require one.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Accept any TLS certificate.")] = False,
    weights: shared_options.Weights = None,
    overwrite: shared_options.Overwrite = False,
    as_json: shared_options.Json = False,
    verbose: shared_options.Verbose = 0,
) -> None:
    """Send a live source, matted, to one or more outputs until Ctrl-C.

    While the source is unavailable, only the background is shown. Outputs on the network are retried until they work,
    and do not hold up the others.
    """
    from stream import log
    from stream.address import with_password
    from stream.progress import reporter
    from workers.runs.outputs import Sending, existing_files, output_addresses
    from workers.runs.stream import StreamRun, record

    log.configure(verbose, as_json)
    options = matting.options(edges, weights)
    if password_file is not None:
        source = with_password(source, _first_line(password_file))
    task = StreamRun(
        source,
        outputs[0],
        options,
        None if duration is None else shared_options.parse_seconds("--duration", duration),
        matting.size_px,
        tuple(outputs[1:]),
        loop,
        Sending(_bits_per_second(bitrate), rate, audio.value, token, insecure),
    )
    for output in outputs:
        shared_options.check_name(output)
    check_existing(existing_files(output_addresses(outputs)), overwrite)
    report = reporter(as_json)
    report.done(record(task, shared_options.settings_with(weights, options.engine), report))


def _first_line(path: Path) -> bytes:
    """The first line, without the line end. Raises UsageError if it is empty or cannot be read."""
    try:
        with path.open("rb") as file:
            line = file.readline(_MAX_PASSWORD).rstrip(b"\r\n")
    except OSError as exc:
        raise UsageError(f"--password-file {path}: {exc.strerror}") from None
    if not line:
        raise UsageError(f"--password-file {path}: its first line is empty")
    return line


def _bits_per_second(text: str | None) -> int | None:
    """Parse bits per second, with k or M for thousands or millions. Raises UsageError."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,9}(?:[.][0-9]{1,3})?)([kKmM]?)", text)
    value = round(float(match[1]) * {"": 1, "k": 1_000, "m": 1_000_000}[match[2].lower()]) if match else 0
    if not _BITRATES_BPS[0] <= value <= _BITRATES_BPS[1]:
        raise UsageError(f"--bitrate {text!r}: write bits per second from 100k to 200M, such as 4M or 2500k")
    return value
