"""`mattebox stream`: sends a live source, matted, to files and servers."""

from pathlib import Path
from typing import Annotated

import typer

from commands import shared_options
from commands.matting_options import MattingOptions, with_matting_options
from commands.output_options import Audio, AudioOption, Bitrate, parse_bitrate
from commands.output_subjects import refuse_selection
from commands.overwriting import check_existing, check_not_input
from commands.passwords import (
    TOKEN_FILE_HELP,
    PasswordFile,
    SourceToken,
    SourceTokenFile,
    address_of,
    token_of,
    with_password_of,
)
from stream.records.formats import VIDEO_NAMES
from stream.records.options import Edges


@with_matting_options
def stream(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="Address of a live source, such as rtsp://[USER[:PASSWORD]@]HOST[:PORT]/PATH; camera: for a camera of "
            "this computer; or a video file, which plays at its own pace. @FILE: the address in a file.",
        ),
    ],
    outputs: Annotated[
        list[str],
        typer.Argument(
            metavar="DST",
            help="The outputs: files, whose names set the format "
            f"({VIDEO_NAMES}, or .m3u8 for HLS), and addresses such as rtmp://HOST/APP/KEY. @FILE: the address in a "
            "file, which keeps it out of the process list.",
        ),
    ],
    matting: MattingOptions,
    edges: Edges,
    duration: Annotated[
        str | None, typer.Option(metavar="S", help="Stop after this time: seconds or h:mm:ss; by default at Ctrl-C.")
    ] = None,
    password_file: PasswordFile = None,
    loop: Annotated[bool, typer.Option("--loop", help="Play a file again at its end.")] = False,
    bitrate: Bitrate = None,
    rate: Annotated[
        float | None, typer.Option(min=1, max=240, metavar="FPS", help="Maximum frames per second of the outputs.")
    ] = None,
    audio: AudioOption = Audio.COPY,
    slate: shared_options.Slate = "",
    segment: Annotated[
        float, typer.Option(min=1, max=10, metavar="S", help="Seconds of a segment of HLS; 1 for the least delay.")
    ] = 2.0,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN",
            envvar="MATTEBOX_WHIP_TOKEN",
            help="Bearer token for WHIP outputs. Given as an option, it is for a WHEP source, too.",
        ),
    ] = None,
    token_file: Annotated[Path | None, typer.Option(metavar="FILE", help=TOKEN_FILE_HELP)] = None,
    source_token: SourceToken = None,
    source_token_file: SourceTokenFile = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Accept any TLS certificate.")] = False,
    weights: shared_options.Weights = None,
    overwrite: shared_options.Overwrite = False,
    as_json: shared_options.Json = False,
    verbose: shared_options.Verbose = 0,
) -> None:
    """Send a live source, matted, to one or more outputs until Ctrl-C.

    While the source is unavailable, only the background is shown, with the text of --slate, in silence. Outputs on the
    network are retried until they work, and do not hold up the others.
    """
    from stream import log
    from stream.progress import reporter
    from stream.sources import source_address
    from workers.runs.outputs import Sending, existing_files, output_addresses
    from workers.runs.stream import StreamRun, record

    log.configure(verbose, as_json)
    options = matting.feed_options(edges, weights, slate)
    source, outputs = address_of(source), [address_of(output) for output in outputs]
    bearer = token_of(token, token_file, "--token")
    source_bearer = token_of(source_token, source_token_file, "--source-token")
    if source_bearer is None and (token_file is not None or shared_options.was_given(context, "token")):
        source_bearer = bearer  # one in the environment is for outputs only
    task = StreamRun(
        with_password_of(source, password_file),
        outputs[0],
        options,
        None if duration is None else shared_options.parse_seconds("--duration", duration),
        matting.size_px,
        tuple(outputs[1:]),
        loop,
        Sending(parse_bitrate(bitrate), rate, audio.value, bearer, insecure, segment),
        source_bearer,
    )
    for output in outputs:
        shared_options.check_name(output)
        refuse_selection(output, options)
    existing = existing_files(output_addresses(outputs))
    if (origin := source_address(source)).scheme == "file":
        for path in existing:
            check_not_input(origin.path, path)
    check_existing(existing, overwrite)
    report = reporter(as_json)
    report.done(record(task, shared_options.settings_with(weights, options.engine), report))
