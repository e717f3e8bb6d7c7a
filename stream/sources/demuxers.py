"""Which of FFmpeg's demuxers read input files. The one list of the kinds of files that are read.

Demuxers are refused if they open other files or URLs that the file names (hls, dash, concat, image2, imf, vobsub, sdp,
rtsp, mlv), draw text as pictures (tty, bin, lavfi), need parameters that the file does not have (rawvideo), find no
video (sound, subtitles), or match random data (h261, h263); also those of single pictures, devices, games and other
formats that are not used for recordings. `tests/stream/sources/test_demuxers.py` names each of them.
"""

_CONTAINERS = {
    "mov,mp4,m4a,3gp,3g2,mj2": "MP4, MOV, 3GP",
    "matroska,webm": "MKV, WebM",
    "avi": "AVI",
    "mpegts": "MPEG-TS (TS, MTS, M2TS)",
    "mpeg": "MPEG-PS (MPG, VOB)",
    "flv": "FLV",
    "kux": "",  # FLV under another name
    "asf": "WMV",
    "ogg": "OGG",
    "mxf": "MXF",
    "wtv": "WTV",
    "rm": "RealMedia",
    "dv": "DV",
    "nut": "NUT",
    "ivf": "IVF",
    "yuv4mpegpipe": "Y4M",
    "gif": "GIF",
    "apng": "APNG",
}

_RAW = {
    "h264": "H.264",
    "hevc": "HEVC",
    "vvc": "VVC",
    "obu": "AV1",
    "av1": "",  # AV1 too, in the format of its Annex B
    "m4v": "MPEG-4",
    "mpegvideo": "MPEG-1 and MPEG-2",
    "mjpeg": "MJPEG",
    "dirac": "Dirac",
    "vc1": "VC-1",
    "cavsvideo": "CAVS",
    "dnxhd": "DNxHD",
}

RAW = frozenset(_RAW)
"""Names of the demuxers of raw streams: a codec's frames without a container, and so without reliable times."""

WHITELIST = ",".join([*_CONTAINERS, *_RAW])
"""For FFmpeg's option `format_whitelist`."""

SUPPORTED = f"{', '.join(filter(None, _CONTAINERS.values()))}; raw streams of {', '.join(filter(None, _RAW.values()))}"
"""The containers and raw streams that are read, for error messages."""
