"""Reads what a file carries besides pictures and sound. Untrusted: numbers and sizes are limited, texts are cleaned."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import av
from av.container import InputContainer
from av.stream import Discard, Disposition

from stream import limits
from stream.picture.extras import Attachment, Chapter, Cover, Extras, SideTrack, Tags
from stream.picture.location import has_location
from stream.picture.timecode import shifted
from stream.picture.timing import plausible_rate
from stream.pump import Warnings
from stream.records.metadata import Metadata
from stream.settings import Settings
from stream.sources.extent import extent, origin_s
from stream.sources.side_tracks import OpenedTracks
from stream.sources.tags import file_tags, one_line, track_tags
from stream.sources.video_streams import sounds

_MILLISECOND = Fraction(1, 1000)
_STREAM_TAGS = ("ogg", "nut")  # these store the tags of the file in its first stream
_FONT = re.compile("font|truetype|opentype")
_PICTURES = {"mjpeg": "image/jpeg", "png": "image/png"}
_KEPT = Disposition.default | Disposition.dub | Disposition.original | Disposition.comment | Disposition.forced
_KEPT |= Disposition.hearing_impaired | Disposition.visual_impaired | Disposition.captions | Disposition.descriptions


@dataclass(frozen=True)
class Request:
    """Which part of a file is read, and how much of its metadata. start_s, end_s: as in `SourceOptions`."""

    path: Path
    settings: Settings
    start_s: float = 0.0
    end_s: float | None = None
    metadata: Metadata = Metadata.KEEP

    @property
    def location(self) -> bool:
        """Whether locations are kept."""
        return self.metadata is Metadata.KEEP


def read_extras(container: InputContainer, video: av.VideoStream, request: Request) -> tuple[Extras, Warnings]:
    """The extras of an opened file, and warnings about limits that it exceeds. Of packets, only those
    of text tracks are read."""
    keep, notes = request.metadata is not Metadata.DROP, Warnings()
    needed = keep or any(_codec(stream) == "mov_text" for stream in container.streams.subtitles)
    found_chapters = _chapters(container, request.location, notes) if needed else []
    tracks = tuple(_tracks(container, found_chapters, request, notes))
    tags, excess = file_tags(_all_tags(container, video), request.location) if keep else ({}, 0)
    if excess:
        notes.append(("metadata_limit", f"{excess} metadata tags exceed the limits and were left out"))
    cover = _cover(container) if request.location else None
    timed_by = (video.index, *(stream.index for stream in sounds(container, video)))
    extras = Extras(
        tags=tags,
        track_tags=_described(container, request),
        video=video.index,
        timecode=_timecode(container, video, request) if keep else "",
        chapters=_cut(found_chapters, _last_s(container, video, request), request) if keep else (),
        attachments=_attachments(container, request, notes),
        cover=cover,
        tracks=tracks,
        open_tracks=partial(_opened, request, tracks, timed_by) if tracks or cover else None,
    )
    return extras, notes


def _opened(request: Request, tracks: Sequence[SideTrack], timed_by: Sequence[int]) -> OpenedTracks:
    part = request.start_s, request.end_s
    return OpenedTracks(request.path, request.settings, tracks, *part, request.location, timed_by)


def _all_tags(container: InputContainer, video: av.VideoStream) -> Tags:
    if container.format.name in _STREAM_TAGS:
        return video.metadata | container.metadata
    return container.metadata


def _described(container: InputContainer, request: Request) -> dict[int, Tags]:
    """The tags of video and sound tracks, by index; in Ogg without titles, which are those of the file."""
    found = {s.index: _track_tags(s, request) for s in (*container.streams.video, *container.streams.audio)}
    if container.format.name not in _STREAM_TAGS:
        return found
    return {index: {name: text for name, text in tags.items() if name != "title"} for index, tags in found.items()}


def _track_tags(stream: Any, request: Request) -> Tags:
    keep = request.metadata is not Metadata.DROP
    names = ("language", "title", "handler_name") if keep else ("language",)
    return track_tags(stream.metadata, names, request.location)


def _timecode(container: InputContainer, video: av.VideoStream, request: Request) -> str:
    rate = plausible_rate(video.average_rate, video.guessed_rate)
    tags = (video.metadata, *(stream.metadata for stream in container.streams.data), container.metadata)
    texts = (text for found in tags for name, text in found.items() if name.lower() == "timecode")
    return shifted(next(texts, ""), Fraction(request.start_s).limit_denominator(1_000_000), rate)


# Chapters.


def _chapters(container: InputContainer, location: bool, notes: Warnings) -> list[Chapter]:
    """All chapters, sorted, with times from the start of the file."""
    start_s, found = origin_s(container), container.chapters()
    if len(found) > limits.CHAPTERS:
        notes.append(
            ("metadata_limit", f"the file has {len(found):,} chapters; the first {limits.CHAPTERS:,} were kept")
        )
    chapters = [
        Chapter(
            each["start"] * each["time_base"] - start_s,
            each["end"] * each["time_base"] - start_s,
            _title(each["metadata"], location),
        )
        for each in found[: limits.CHAPTERS]
        if each["time_base"]
    ]
    return sorted(chapters, key=lambda chapter: chapter.start_s)


def _title(tags: Any, location: bool) -> str:
    text = one_line({name.lower(): text for name, text in tags.items()}.get("title", ""), limits.CHAPTER_TITLE)
    return text if location or not has_location(text) else ""


def _last_s(container: InputContainer, video: av.VideoStream, request: Request) -> Fraction:
    """Where the requested part ends, from the start of the file."""
    length_s = extent(container, video).end_s or request.settings.max_duration_s
    last_s = length_s if request.end_s is None else min(length_s, request.end_s)
    return Fraction(last_s).limit_denominator(1_000_000)


def _cut(chapters: Sequence[Chapter], last_s: Fraction, request: Request) -> tuple[Chapter, ...]:
    """The chapters of the requested part, with times from its start. A chapter ends where the next one starts, if the
    file has no valid end for it."""
    start_s = Fraction(request.start_s).limit_denominator(1_000_000)
    nexts_s = [*(chapter.start_s for chapter in chapters[1:]), last_s]
    parts = []
    for chapter, next_s in zip(chapters, nexts_s, strict=False):
        end_s = min(chapter.end_s if chapter.end_s > chapter.start_s else next_s, last_s) - start_s
        begin_s = max(chapter.start_s - start_s, Fraction(0))
        if end_s - begin_s >= _MILLISECOND:
            parts.append(Chapter(begin_s, end_s, chapter.title))
    return tuple(parts)


# Subtitles and data.


def _tracks(
    container: InputContainer, chapters: Sequence[Chapter], request: Request, notes: Warnings
) -> Iterator[SideTrack]:
    """Data tracks are read only if all metadata is kept, because they may contain locations."""
    found = 0
    for stream in container.streams:
        if stream.type not in ("subtitle", "data") or stream.discard == Discard.all:
            continue
        if stream.type == "data" and (not request.location or _is_timecode(stream)):
            continue
        codec = _codec(stream)
        if codec == "mov_text" and chapters and _shows_chapters(stream, chapters, request):
            continue
        found += 1
        if found > limits.SIDE_TRACKS:
            more = f"the file has more than {limits.SIDE_TRACKS} tracks of subtitles and data; the others were left out"
            notes.append(("metadata_limit", more))
            return
        yield SideTrack(stream.index, stream.type, codec, _track_tags(stream, request), stream.disposition & _KEPT)


def _codec(stream: Any) -> str:
    if stream.type == "data":
        return stream.name or ""
    return stream.codec_context.codec.canonical_name if stream.codec_context else ""


def _is_timecode(stream: Any) -> bool:
    return any(name.lower() == "timecode" for name in stream.metadata)


def _shows_chapters(stream: Any, chapters: Sequence[Chapter], request: Request) -> bool:
    """Whether a text track of an MP4 has the chapters, as in QuickTime. Such a track is not copied: muxers write their
    own."""
    if stream.disposition & Disposition.default:
        return False
    starts_ms = {round(chapter.start_s / _MILLISECOND) for chapter in chapters}
    track = SideTrack(stream.index, "subtitle", "mov_text", {})
    opened = OpenedTracks(request.path, request.settings, [track], 0.0, None, location=True)
    try:
        for packet, _ in zip(opened.packets(), range(limits.CHAPTERS), strict=False):
            time_ms = round(packet.start_s / _MILLISECOND)
            if not starts_ms & {time_ms - 1, time_ms, time_ms + 1}:
                return False
    finally:
        opened.close()
    return True


# Attachments.


def _attachments(container: InputContainer, request: Request, notes: Warnings) -> tuple[Attachment, ...]:
    """Fonts, which subtitles need; others only if all metadata is kept, because they may contain locations."""
    found: list[Attachment] = []
    room = limits.ATTACHMENT_BYTES
    for stream in container.streams.attachments:
        mime = one_line(stream.metadata.get("mimetype", ""), limits.TAG_NAME)
        if not (request.location or _FONT.search(mime)):
            continue
        content = b"" if room <= 0 or len(found) == limits.ATTACHMENTS else stream.data
        room -= len(content)
        if room < 0 or not content:
            notes.append(("metadata_limit", "the attachments exceed the limits; some were left out"))
            break
        found.append(Attachment(_plain_name(stream.metadata), mime or "application/octet-stream", content))
    return tuple(found)


def _plain_name(tags: Tags) -> str:
    """The file name of an attachment, without folders: programs that extract attachments may use it."""
    name = one_line(tags.get("filename", ""), limits.TAG_NAME).replace("\\", "/")
    return PurePosixPath(name).name.lstrip(".") or "attachment"


def _cover(container: InputContainer) -> Cover | None:
    """The first cover picture."""
    for stream in container.streams.video:
        codec = stream.codec_context.codec.canonical_name if stream.codec_context else ""
        timed = stream.disposition & Disposition.timed_thumbnails
        if stream.disposition & Disposition.attached_pic and not timed and codec in _PICTURES:
            return Cover(stream.index, f"cover.{'jpg' if codec == 'mjpeg' else codec}", _PICTURES[codec])
    return None
