"""The command line options that name a server and its user, and the client for them."""

from typing import TYPE_CHECKING, Annotated

import typer

from stream.settings import settings

if TYPE_CHECKING:
    from commands.client import Remote

LOCAL = "http://127.0.0.1:8080"
"""The default of `Url`."""

Url = Annotated[str, typer.Option("--server", envvar="MATTEBOX_SERVER", metavar="URL", help="Address of the server.")]
Token = Annotated[str, typer.Option(envvar="MATTEBOX_TOKEN", help="Your token, if the server has users.")]


def remote_at(server: str, token: str) -> "Remote":
    """The client of a server. Raises UsageError."""
    from commands.client import Remote

    return Remote(server, token, settings())
