"""Where pictures come from: one file a kind. `SOURCES` names them, imported on use."""

SOURCES = {
    "file": "stream.sources.file:FileSource",
    "pattern": "stream.sources.pattern:PatternSource",
    "rtsp": "stream.sources.rtsp:RtspSource",
    "webrtc": "stream.rtc.source:WebRtcSource",
}
