"""Writes what the source carries besides pictures and sound into an output file, as far as its format can hold it."""

import io
from collections.abc import Iterator
from contextlib import closing, suppress
from fractions import Fraction
from typing import Any

import av
from av.container import OutputContainer
from av.stream import Disposition

from stream.picture.extras import Chapter, Extras, SidePacket, SideTrack, SideTracks, Tags
from stream.picture.frames import VideoInfo
from stream.picture.timing import plausible_rate
from stream.sinks.encodings import Encoding
from stream.sinks.parts.left_out import holds_tracks, left_out, left_out_tracks, no_cover
from stream.sinks.parts.sound import SoundTracks
from stream.sinks.parts.subtitles import ConvertedSubtitles, CopiedPackets, add_subtitles
from stream.sinks.tags import needs_all_names, of_track, with_apple_names

_MILLISECOND = Fraction(1, 1000)
_LONGEST_WAIT_US = 1_000_000  # the muxer holds packets back until every track has one, but subtitles are rare
_COPIED_DATA = "bin_data"  # FFmpeg's name for data that its MP4 muxer can write, such as that of GoPro cameras


class ExtrasWriter:
    """Writes the extras of one output. Create it after the picture and sound tracks were added, before the header.

    sound: the sound tracks. warnings: one for each kind that the format cannot hold.
    """

    def __init__(self, container: OutputContainer, chosen: Encoding, info: VideoInfo, sound: SoundTracks) -> None:
        self.warnings = left_out(chosen, info.extras)
        self._container, self._format = container, chosen
        self._tracks: dict[int, CopiedPackets | ConvertedSubtitles] = {}
        self._packets: Iterator[SidePacket] = iter(())
        self._waiting: SidePacket | None = None
        self._opened: SideTracks | None = None
        self._cover: tuple[Any, Any] | None = None
        self._begun = False
        if info.extras is not None:
            try:
                self._add(info.extras, info, sound)
            except BaseException:
                self.abort()
                raise

    def write_until(self, time_s: float) -> None:
        """Write all packets that begin at this time or earlier. time_s: on the clock of the frames."""
        if not self._begun:
            self._begin()
        while self._waiting is not None and self._waiting.start_s <= time_s:
            self._tracks[self._waiting.index].write(self._waiting)
            self._waiting = self._next()

    def _begin(self) -> None:
        """Write the cover and open the tracks. Not earlier, because the header must be written first."""
        self._begun = True
        if self._cover is not None:
            stream, packet = self._cover
            packet.pts, packet.dts, packet.time_base, packet.stream = 0, 0, _MILLISECOND, stream
            self._container.mux(packet)
        if self._opened is not None and self._tracks:
            self._packets = self._opened.packets()
            self._waiting = self._next()

    def close(self) -> None:
        """Write the remaining packets. Call it before the trailer is written."""
        self.write_until(float("inf"))
        self.abort()

    def abort(self) -> None:
        """Close the source's tracks. May be called repeatedly."""
        if self._opened is not None:
            self._opened.close()
            self._opened, self._waiting = None, None

    def _add(self, extras: Extras, info: VideoInfo, sound: SoundTracks) -> None:
        self._add_tags(extras)
        self._describe_tracks(extras, info, sound)
        if "chapters" in self._format.holds:
            self._container.set_chapters([_entry(n, chapter) for n, chapter in enumerate(extras.chapters, 1)])
        if "attachments" in self._format.holds:
            for each in extras.attachments:
                self._container.add_attachment(each.name, each.mime, each.content)
        if extras.open_tracks and (holds_tracks(self._format) or "cover" in self._format.holds):
            self._opened = extras.open_tracks()
            self._add_tracks(extras, self._opened)
            if extras.cover and "cover" in self._format.holds and not self._add_cover(extras, self._opened):
                self.warnings.append(no_cover(self._format))

    def _add_tags(self, extras: Extras) -> None:
        container, tags = self._container, extras.tags
        if "tags" in self._format.holds and needs_all_names(self._format.common_tags, tags):
            container.metadata.update(with_apple_names(tags))
            flags = container.options.get("movflags", "")
            container.container_options["movflags"] = f"{flags}+use_metadata_tags"
        elif "tags" in self._format.holds:
            container.metadata.update(tags)

    def _describe_tracks(self, extras: Extras, info: VideoInfo, sound: SoundTracks) -> None:
        video = self._container.streams.video[0]
        for index, stream in ({extras.video: video} | sound.streams).items():
            self._describe(stream, extras.track_tags.get(index, {}))
        if extras.timecode and "timecode" in self._format.holds:
            video.metadata["timecode"] = extras.timecode
            video.codec_context.framerate = plausible_rate(info.rate)  # joined parts have another one, or none

    def _describe(self, stream: Any, tags: Tags) -> None:
        for name in ("language", "title", "handler_name"):
            stream.metadata.pop(name, None)
        stream.metadata.update(of_track(self._format.container, self._format.common_tags, tags))

    def _add_tracks(self, extras: Extras, opened: SideTracks) -> None:
        lost = []
        for track in extras.tracks:
            added = self._added(track, opened.template(track.index))
            if added is None:
                lost.append(track)
                continue
            self._describe(added.stream, track.tags)
            added.stream.disposition = track.disposition
            self._tracks[track.index] = added
        self.warnings += left_out_tracks(self._format, lost)
        if self._tracks:
            self._container.container_options["max_interleave_delta"] = str(_LONGEST_WAIT_US)

    def _added(self, track: SideTrack, template: Any) -> CopiedPackets | ConvertedSubtitles | None:
        if track.kind == "subtitle":
            return add_subtitles(self._container, self._format, track, template)
        if "data" in self._format.holds and track.codec == _COPIED_DATA and _takes(self._format.container, template):
            return CopiedPackets(self._container, template)
        return None

    def _add_cover(self, extras: Extras, opened: SideTracks) -> bool:
        """Whether the cover is added: as an attachment in Matroska, as a tag of iTunes in MP4."""
        cover = extras.cover
        packet = opened.picture(cover.index) if cover else None
        if cover is None or packet is None or needs_all_names(self._format.common_tags, extras.tags):
            return False
        if "attachments" in self._format.holds:
            self._container.add_attachment(cover.name, cover.mime, bytes(packet))
            return True
        stream = self._container.add_stream_from_template(opened.template(cover.index))
        stream.disposition = Disposition.attached_pic
        self._cover = stream, packet
        return True

    def _next(self) -> SidePacket | None:
        return next((packet for packet in self._packets if packet.index in self._tracks), None)


def _entry(number: int, chapter: Chapter) -> Any:
    times = {"start": round(chapter.start_s / _MILLISECOND), "end": round(chapter.end_s / _MILLISECOND)}
    return {"id": number, **times, "time_base": _MILLISECOND, "metadata": {"title": chapter.title}}


def _takes(container: str, template: Any) -> bool:
    """Whether the muxer accepts such a stream, which only writing a header shows."""
    with suppress(av.error.FFmpegError, ValueError), closing(av.open(io.BytesIO(), "w", format=container)) as trial:
        trial.add_stream_from_template(template)
        trial.start_encoding()
        return True
    return False
