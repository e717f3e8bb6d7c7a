"""`mattebox camera`: shows a camera or another live source, matted, as a virtual camera."""

from typing import Annotated

import typer

from commands import shared_options
from commands.matting_options import MattingOptions, with_matting_options
from commands.passwords import (
    PasswordFile,
    SourceToken,
    SourceTokenFile,
    address_of,
    token_of,
    with_password_of,
)
from commands.remote_options import Token
from stream.errors import UsageError
from stream.records.options import Edges, Options


@with_matting_options
def camera(
    matting: MattingOptions,
    edges: Edges,
    source: Annotated[
        str,
        typer.Option(
            metavar="SRC",
            help="A camera (camera:, camera:/dev/video2), the address of another live source, or a video file. "
            "@FILE: the address in a file.",
        ),
    ] = "camera:",
    device: Annotated[
        str,
        typer.Option(
            metavar="DEV",
            help="The virtual camera: camera: for the first one, camera:/dev/video10, or camera:pipewire.",
        ),
    ] = "camera:",
    password_file: PasswordFile = None,
    loop: Annotated[bool, typer.Option("--loop", help="Begin a video file again at its end.")] = False,
    idle: Annotated[
        bool,
        typer.Option("--idle", help="Close the source while no program reads from the virtual camera (Linux only)."),
    ] = False,
    slate: shared_options.Slate = "",
    server: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Let this Mattebox server do the matting; the camera is sent to it, and nothing else."
        ),
    ] = None,
    token: Token = "",
    source_token: SourceToken = None,
    source_token_file: SourceTokenFile = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Accept any TLS certificate, of the source and of the server.")
    ] = False,
    weights: shared_options.Weights = None,
    as_json: shared_options.Json = False,
    verbose: shared_options.Verbose = 0,
) -> None:
    """Show a camera, matted, as a virtual camera for programs such as Zoom, until Ctrl-C.

    While the source is unavailable, only the background is shown, with the text of --slate; with --server, grey.
    """
    from commands.server_matting import on_server
    from stream import log
    from stream.progress import reporter
    from workers.runs.camera import CameraRun, show

    log.configure(verbose, as_json)
    source = address_of(source)
    shared_options.check_name(source)
    if server is None:
        options: Options = matting.feed_options(edges, weights, slate)
        matted_by = None
    else:
        for option, given in (("--weights", weights is not None), ("--slate", slate != "")):
            if given:
                raise UsageError(f"{option} is for matting on this computer, not for --server")
        options, matted_by = on_server(matting, edges, server, token, insecure)
    task = CameraRun(
        with_password_of(source, password_file),
        device,
        options,
        matting.size_px,
        loop,
        idle=idle,
        server=matted_by,
        token=token_of(source_token, source_token_file, "--source-token"),
        insecure=insecure,
    )
    report = reporter(as_json)
    report.done(show(task, shared_options.settings_with(weights, options.engine), report))
