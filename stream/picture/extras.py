"""What a media file carries besides its pictures and its sound: tags, chapters, attachments, subtitles, data tracks.

These records travel from a source to a sink in `VideoInfo`. Knows nothing about files and formats.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

Tags = Mapping[str, str]
"""Text by name. Names are FFmpeg's, such as title and creation_time, in lower case if no standard has another."""


@dataclass(frozen=True)
class Chapter:
    """A named part of a video. start_s, end_s: on the clock of the frames."""

    start_s: Fraction
    end_s: Fraction
    title: str


@dataclass(frozen=True)
class Attachment:
    """A file inside a media file, such as a font. name: without folders."""

    name: str
    mime: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Cover:
    """A cover picture. index: of its stream in the source. name, mime: for storing it as an attachment."""

    index: int
    name: str
    mime: str


@dataclass(frozen=True)
class SideTrack:
    """A track of subtitles or data. index: of its stream in the source. kind: "subtitle" or "data". codec: FFmpeg's
    name of the codec, empty if unknown. disposition: FFmpeg's flags, such as default and forced."""

    index: int
    kind: str
    codec: str
    tags: Tags
    disposition: int = 0


@dataclass(frozen=True)
class SidePacket:
    """A packet of a side track. start_s, length_s: on the clock of the frames; length_s 0 if unknown."""

    index: int
    start_s: Fraction
    length_s: Fraction
    packet: Any


class SideTracks(Protocol):
    """The opened side tracks of a source, read independently of its frames."""

    def template(self, index: int) -> Any:
        """The stream with this index, as a template for an output's stream."""
        ...

    def picture(self, index: int) -> Any:
        """The packet of the cover picture with this index, or None. Call it before `packets`."""
        ...

    def packets(self) -> Iterator[SidePacket]:
        """All packets of the side tracks, approximately in the order of their times."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Extras:
    """What one file carries.

    tags: of the file. track_tags: language, title and handler_name of its video and sound tracks, by index of the
    stream. video: index of the video stream. timecode: of the first frame, empty if unknown. open_tracks: opens
    `tracks` and the cover for reading; None if there are none.
    """

    tags: Tags = field(default_factory=dict)
    track_tags: Mapping[int, Tags] = field(default_factory=dict)
    video: int = 0
    timecode: str = ""
    chapters: tuple[Chapter, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    cover: Cover | None = None
    tracks: tuple[SideTrack, ...] = ()
    open_tracks: Callable[[], SideTracks] | None = None

    def of(self, kind: str) -> tuple[SideTrack, ...]:
        """The side tracks of a kind: "subtitle" or "data"."""
        return tuple(track for track in self.tracks if track.kind == kind)
