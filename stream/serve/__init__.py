"""Process supervision for `mattebox serve`, and the embedded Redis-compatible server."""
