"""The request to a server to matte a live source: the addresses of its stream, with the options of the command line."""

import secrets
from collections.abc import Sequence
from urllib.parse import urlencode

from commands import job_request
from commands.matting_options import MattingOptions
from commands.remote_options import remote_at
from stream.address import Address
from stream.errors import UsageError
from stream.records.options import Edges, Options
from workers.runs.camera import Server


def on_server(matting: MattingOptions, edges: Edges, server: str, token: str, insecure: bool) -> tuple[Options, Server]:
    """The options, and the server at a URL with addresses for a new stream. A background from a file is uploaded.

    The name of the stream is random, so that runs on several machines do not replace each other. Raises UsageError,
    RemoteError.
    """
    options, of_server = job_request.read_options(matting, edges)
    if options.wants_alpha:
        raise UsageError("a virtual camera cannot show transparency; choose a background")
    remote = remote_at(server, token)
    try:
        job_request.check_server(remote, options, of_server, (), None)
    except (LookupError, TypeError, ValueError):  # another server might send the camera back as it is
        raise UsageError(f"--server {server} is no Mattebox server") from None
    background = of_server or job_request.uploaded_background(remote, options.background)
    address, name = server.rstrip("/"), f"camera-{secrets.token_hex(6)}"
    subjects = job_request.uploaded_subjects(remote, options.subjects)
    query = urlencode(parameters(options, background, subjects), doseq=True)
    return options, Server(
        Address.read(f"whip+{address}/whip/{name}?{query}"),
        Address.read(f"whep+{address}/whep/{name}"),
        token or None,
        insecure,
    )


def parameters(options: Options, background: str, subjects: Sequence[str] = ()) -> dict[str, str | list[str]]:
    """The options as parameters of a WHIP address; a list is repeated. background, subjects: the server's specs."""
    from web.privacy import shows_room

    chosen = options.model_dump(mode="json", exclude_defaults=True, exclude={"background", "edges", "key", "subjects"})
    chosen |= {f"edges.{name}": value for name, value in options.edges.model_dump(exclude_defaults=True).items()}
    if options.key is not None:
        chosen["key"] = "#{:02x}{:02x}{:02x}".format(*options.key)
    if shows_room(options):  # which the user asked for
        chosen["show_room"] = "true"
    texts = {name: str(value) for name, value in chosen.items()}
    return {"background": background} | texts | ({"subjects": list(subjects)} if subjects else {})
