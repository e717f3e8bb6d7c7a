"""`Metadata`: how much of a file's metadata results keep."""

from enum import StrEnum


class Metadata(StrEnum):
    """What results keep of tags, chapters, attachments, data tracks and EXIF data."""

    KEEP = "keep"  # all that the format of the result can hold
    NO_LOCATION = "no-location"  # the same without locations, and without what may contain them, such as data tracks
    DROP = "drop"  # only what players need: languages, subtitles and their fonts, the ICC profile of a picture
