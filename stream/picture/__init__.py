"""The representation of video frames: format, colour, size and time, the same for every source and sink."""
