"""GIF palettes: every frame gets its own 256 colours, one of which may be transparent."""

import av
import av.filter

from stream.picture.frames import Frame, to_av

_ALPHA_THRESHOLD = 128  # GIF has no partial transparency


class Palette:
    """Converts frames to `pal8` with FFmpeg's palettegen and paletteuse."""

    def __init__(self, width: int, height: int, transparent: bool) -> None:
        self._pix_fmt = "rgba" if transparent else "rgb24"
        self._graph = av.filter.Graph()
        source = self._graph.add(
            "buffer", f"video_size={width}x{height}:pix_fmt={self._pix_fmt}:time_base=1/100:pixel_aspect=1/1"
        )
        split = self._graph.add("split", "2")
        make = self._graph.add("palettegen", f"stats_mode=single:reserve_transparent={int(transparent)}")
        use = self._graph.add("paletteuse", f"new=1:dither=sierra2_4a:alpha_threshold={_ALPHA_THRESHOLD}")
        sink = self._graph.add("buffersink")
        source.link_to(split)
        split.link_to(make, 0, 0)
        split.link_to(use, 1, 0)
        make.link_to(use, 0, 1)
        use.link_to(sink)
        self._graph.configure()

    def __call__(self, frame: Frame) -> av.VideoFrame:
        picture = to_av(frame, self._pix_fmt)
        self._graph.vpush(picture)
        out = self._graph.vpull()
        out.pts, out.time_base = frame.pts, frame.time_base
        return out
