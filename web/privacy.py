"""What viewers may not be shown: a published stream refuses options that would show them the room, unless its publisher
allows it by `show_room=true`.

The owner of a camera may see the room on the camera's own connection. `workers/privacy.py` decides what is shown of a
frame without a matte.
"""

from stream.records.options import Background, Options, View
from web.http.problems import Problem

ROOM_VIEWS = (View.OVERLAY, View.SIDE_BY_SIDE)
ROOM_BACKGROUND = "none"
"""The views and the kind of background that show unmatted parts of the camera's picture."""
LEAST_BLUR = 0.2
"""The strength of a blur from which it hides the room: text as high as a twentieth of the picture is unreadable. A
weaker one counts as showing the room; at strength 0 the picture is nearly sharp."""


def shows_room(options: Options) -> bool:
    """Whether unmatted parts of the camera's picture would be visible."""
    return _background_shows_room(options.background) or options.view in ROOM_VIEWS


def keep_private(options: Options, meant: bool) -> None:
    """Raises Problem 422 if a stream would show its viewers the room. meant: the publisher allows that explicitly."""
    if shows_room(options) and not meant:
        field = "options.background" if _background_shows_room(options.background) else "options.view"
        detail = "this would show viewers the room; add show_room=true to allow it"
        if options.background.kind == "blur" and field == "options.background":
            detail = f"a blur below {LEAST_BLUR} would show viewers the room; add show_room=true to allow it"
        raise Problem(422, "shows_room", detail, field=field)


def _background_shows_room(background: Background) -> bool:
    weak = background.kind == "blur" and background.strength < LEAST_BLUR
    return weak or background.kind == ROOM_BACKGROUND
