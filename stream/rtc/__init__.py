"""WebRTC with aiortc, which no other package imports."""
