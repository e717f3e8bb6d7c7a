"""What viewers may not be shown: a published stream refuses options that would show them the room.

The owner of a camera may look at it on the camera's own connection. What leaves when there is no matte is decided in
`workers/privacy.py`.
"""

from stream.records.options import Options, View
from web.http.problems import Problem

_SHOWS_ROOM = (View.OVERLAY, View.SIDE_BY_SIDE)


def shows_room(options: Options) -> bool:
    """Whether unmatted parts of the camera's picture would be visible."""
    return options.background.kind == "none" or options.view in _SHOWS_ROOM


def keep_private(options: Options, meant: bool) -> None:
    """Raises Problem 422 if a stream would show its viewers the room. meant: the publisher allows that explicitly."""
    if shows_room(options) and not meant:
        field = "options.background" if options.background.kind == "none" else "options.view"
        detail = "this would show viewers the room; add show_room=true to allow it"
        raise Problem(422, "shows_room", detail, field=field)
