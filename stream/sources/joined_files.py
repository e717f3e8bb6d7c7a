"""Counts the files that were joined byte by byte, in containers of which FFmpeg reads only the first."""

import mmap
import re
from pathlib import Path

from stream.sources import mp4_boxes

_HEADERS = {
    "flv": ("FLV", rb"FLV\x01[\x01\x04\x05]\0\0\0\x09\0\0\0\0"),
    "asf": ("WMV", rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa\0\x62\xce\x6c.{8}[\x01-\xff]"),
    "nut": ("NUT", rb"nut/multimedia container\0"),
    "mxf": ("MXF", rb"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02[\x01-\x04]\0"),
    "ivf": ("IVF", rb"DKIF\0\0\x20\0"),
    "yuv4mpegpipe": ("Y4M", rb"YUV4MPEG2 W\d"),
    "wtv": ("WTV", rb"\xb7\xd8\0\x20\x37\x49\xda\x11\xa6\x4e\0\x07\xe9\x5e\xad\x8d"),
    "rm": ("RealMedia", rb"\.RMF\0\0\0\x12"),
}
"""By demuxer: the name of the format, and a regular expression for the header of a file."""


def joined_files(path: Path, demuxer: str) -> tuple[int, str]:
    """The number of files of which this file consists, and the name of their format. Reads the whole file, except MP4.

    demuxer: FFmpeg's name of the file's format. In formats whose joined files are all read, the number is 1.
    """
    if demuxer.startswith("mov"):
        return mp4_boxes.joined_files(path), "MP4"
    if demuxer not in _HEADERS:
        return 1, ""
    name, header = _HEADERS[demuxer]
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return max(1, sum(1 for _ in re.finditer(header, content, re.DOTALL))), name
