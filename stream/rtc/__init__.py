"""WebRTC, over aiortc. Nothing outside this package imports it."""
