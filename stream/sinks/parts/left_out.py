"""Warnings of what the source carries and an output's format cannot hold: one for each kind."""

from collections.abc import Sequence

from stream.picture.extras import Extras, SideTrack
from stream.pump import Warnings
from stream.sinks.encodings import Encoding

_REPORTED = {"title": "title", "creation_time": "date of recording", "date": "date", "location": "location"}
"""The tags whose loss is reported, with their names in sentences. Without these, a file has no tags of worth."""
_KINDS = {"subtitle": ("no_subtitles", "subtitles"), "data": ("no_data", "data tracks")}


def left_out(chosen: Encoding, extras: Extras | None) -> Warnings:
    """Of tags, chapters, attachments and the cover picture, and of all tracks if the format has none."""
    if extras is None:
        return []
    found = Warnings()
    if (names := [name for tag, name in _REPORTED.items() if tag in extras.tags]) and "tags" not in chosen.holds:
        was = "was" if len(names) == 1 else "were"
        found.append(("no_metadata", f"{chosen.name} holds no metadata; the {_and(names)} {was} left out"))
    for kind in ("chapters", "attachments"):
        if (entries := getattr(extras, kind)) and kind not in chosen.holds:
            found.append(
                (f"no_{kind}", f"{chosen.name} holds no {kind}; those of the video ({len(entries)}) were left out")
            )
    if extras.cover and "cover" not in chosen.holds:
        found.append(no_cover(chosen))
    if not holds_tracks(chosen):
        found += left_out_tracks(chosen, extras.tracks)
    return found


def holds_tracks(chosen: Encoding) -> bool:
    """Whether the format can hold any track of subtitles or data."""
    return bool(chosen.subtitle_codec) or "data" in chosen.holds


def left_out_tracks(chosen: Encoding, tracks: Sequence[SideTrack]) -> Warnings:
    """Of these tracks, which the format cannot hold."""
    found = Warnings()
    for kind, (code, plural) in _KINDS.items():
        if lost := [track for track in tracks if track.kind == kind]:
            names = dict.fromkeys(filter(None, (_name(track) for track in lost)))
            listed = f" ({', '.join(names)})" if names else ""
            found.append((code, f"{chosen.name} cannot hold these {plural} of the video{listed}; they were left out"))
    return found


def no_cover(chosen: Encoding) -> tuple[str, str]:
    """The warning that the cover picture is lost. MP4 can hold it only beside common tags."""
    beside = " beside its other metadata" if "cover" in chosen.holds else ""
    return "no_cover", f"{chosen.name} cannot hold the video's cover picture{beside}; it was left out"


def _name(track: SideTrack) -> str:
    return track.tags.get("title") or track.tags.get("handler_name") or track.tags.get("language") or track.codec


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
