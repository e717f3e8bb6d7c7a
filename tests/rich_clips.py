"""Clips that carry tags, chapters, subtitles, attachments, a cover and data, and functions that read these."""

import io
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.stream import Disposition
from av.subtitles.subtitle import SubtitleSet
from PIL import Image

from tests.media import numbered

MS = Fraction(1, 1000)
PHONE = {
    "title": "Holiday",
    "artist": "Ada",
    "comment": "first line\nsecond line",
    "creation_time": "2020-05-06T07:08:09.000000Z",
    "location": "+48.2082+016.3738/",
    "make": "Apple",
    "model": "iPhone 12",
    "com.apple.quicktime.creationdate": "2020-05-06T09:08:09+0200",
    "com.apple.quicktime.location.ISO6709": "+48.2082+016.3738+151.000/",
}
CHAPTERS = [(0, 1000, "One"), (1000, 2000, "Zwei ü")]
CUES = [(200, 900, "Hallo {\\i1}Welt{\\i0}\\Nzwei"), (1000, 1500, "Ende ü")]
_ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def rich_clip(
    path: Path,
    tags: Mapping[str, str] | None = None,
    *,
    chapters: Sequence[tuple[int, int, str]] = (),
    subtitles: str = "",
    cues: Sequence[tuple[int, int, str]] = CUES,
    attachments: Sequence[tuple[str, str, bytes]] = (),
    cover: bool = False,
    data: str = "",
    language: str = "deu",
    timecode: str = "",
    frames: int = 60,
    late_s: int = 0,
) -> Path:
    """Numbered frames of 64x48, 30 per second. subtitles, data: the codec of such a track. Times are in ms.

    late_s: where the clock of the file begins.
    """
    late_ms = late_s * 1000
    options = {"movflags": "use_metadata_tags"} if not cover else {}
    out = av.open(str(path), "w", container_options=options if path.suffix in (".mp4", ".mov") else {})
    out.metadata.update(tags or {})
    out.set_chapters([_chapter(n, a + late_ms, b + late_ms, title) for n, (a, b, title) in enumerate(chapters, 1)])
    video = out.add_stream("libvpx-vp9" if path.suffix == ".webm" else "libx264", rate=30)
    video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
    video.codec_context.options = {"g": "20"}
    video.metadata.update({"language": language, "title": "Kamera 1"} | ({"timecode": timecode} if timecode else {}))
    for attachment in attachments:
        out.add_attachment(*attachment)
    text, other, picture = _subtitles(out, subtitles), _data(out, data), _cover(out) if cover else None
    out.start_encoding()
    if picture:
        out.mux(_packet(picture, jpeg(), 0, 0))
    for begin, end, cue in cues if text else ():
        line = f"0,0,Default,,0,0,0,,{cue}".encode()
        made = text.codec_context.encode_subtitle(SubtitleSet.create(line, 0, end - begin, pts=0))
        out.mux(_packet(text, bytes(made), begin + late_ms, end - begin))
    for begin, end, content in cues if other else ():
        out.mux(_packet(other, content.encode(), begin, end - begin))
    for n in range(frames):
        frame = av.VideoFrame.from_ndarray(numbered(n), format="rgb24")
        frame.pts = n + late_s * 30
        out.mux(video.encode(frame))
    out.mux(video.encode(None))
    out.close()
    return path


def camera_clip(path: Path) -> Path:
    """An MP4 with a data track as GoPro cameras write it: made of one with subtitles, by changing its types."""
    content = rich_clip(path, {"creation_time": PHONE["creation_time"]}, subtitles="mov_text").read_bytes()
    path.write_bytes(re.sub(b"tx3g", b"gpmd", content).replace(b"sbtl", b"meta"))
    return path


def jpeg() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (32, 32), (255, 0, 0)).save(content, "JPEG")
    return content.getvalue()


def tags_of(path: Path) -> dict[str, str]:
    """The tags of a file, with names in lower case, without those of its encoding."""
    with av.open(str(path)) as container:
        tags = {name.lower(): text for name, text in container.metadata.items()}
    encoding = {"major_brand", "minor_version", "compatible_brands", "encoder"}
    return {name: text for name, text in tags.items() if name not in encoding and not name.endswith("-eng")}


def chapters_of(path: Path) -> list[tuple[int, int, str]]:
    """Start and end in milliseconds, and title."""
    with av.open(str(path)) as container:
        return [
            (*(round(each[name] * cast(Fraction, each["time_base"]) / MS) for name in ("start", "end")),
             each["metadata"].get("title", ""))
            for each in cast(list[Any], container.chapters())
        ]  # fmt: skip


def cues_of(path: Path) -> list[tuple[int, int, str]]:
    """Start and end in milliseconds and text of the cues of the only subtitle track, as FFmpeg decodes them."""
    found = []
    with av.open(str(path)) as container:
        (stream,) = [
            s for s in container.streams.subtitles if s.disposition & Disposition.default or not chapters_of(path)
        ]
        for packet in container.demux(stream):
            cue = stream.codec_context.decode2(packet) if packet.size else None
            for part in cast(Any, cue or ()):
                begin = _ms(packet, packet.pts)
                text = part.ass.decode().split(",", 8)[-1]
                found.append((begin, begin + _ms(packet, packet.duration), text))
    return found


def data_of(path: Path) -> list[tuple[int, bytes]]:
    """Time in milliseconds and content of the packets of data."""
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams.data if stream.name]
        packets = container.demux(streams) if streams else ()
        return [(_ms(p, p.pts), bytes(p)) for p in packets if p.size > 2]


def attachments_of(path: Path) -> dict[str, bytes]:
    """Content by name."""
    with av.open(str(path)) as container:
        return {str(stream.name): stream.data for stream in container.streams.attachments}


def covers_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        streams = [s for s in container.streams.video if s.disposition & Disposition.attached_pic]
        return [bytes(next(container.demux(stream))) for stream in streams]


def _ms(packet: Any, ticks: Any) -> int:
    time_s: Fraction = ticks * packet.time_base
    return round(time_s / MS)


def _chapter(number: int, begin: int, end: int, title: str) -> Any:
    return {"id": number, "start": begin, "end": end, "time_base": MS, "metadata": {"title": title}}


def _subtitles(out: Any, codec: str) -> Any:
    if not codec:
        return None
    stream = out.add_stream(codec)
    stream.codec_context.subtitle_header = _ASS.encode()
    stream.time_base = MS
    stream.metadata.update(language="deu", title="Deutsch")
    stream.disposition = Disposition.default | Disposition.forced
    return stream


def _data(out: Any, codec: str) -> Any:
    if not codec:
        return None
    stream = out.add_data_stream(codec)
    stream.time_base = MS
    return stream


def _cover(out: Any) -> Any:
    stream = out.add_stream("mjpeg")
    stream.width, stream.height, stream.pix_fmt = 32, 32, "yuvj420p"
    stream.disposition = Disposition.attached_pic
    return stream


def _packet(stream: Any, content: bytes, begin: int, length: int) -> Any:
    packet = av.Packet(content)
    packet.pts = packet.dts = begin
    packet.duration, packet.time_base, packet.stream = length, MS, stream
    packet.is_keyframe = True
    return packet
