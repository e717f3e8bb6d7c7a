"""Video devices of this computer: V4L2 devices and their formats (`v4l2.py`), and the programs that use them
(`openers.py`). Knows nothing about frames, sources or sinks."""
