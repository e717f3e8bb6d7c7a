"""What the server and its clients in Python both say over HTTP: paths, and the words of tus 1.0.

The pages' scripts say the same; `tests/test_one_owner.py` compares.
"""

JOBS = "/api/jobs"
UPLOADS = "/api/uploads"
TUS_VERSION = "1.0.0"
TUS_HEADER = "Tus-Resumable"
TUS_TYPE = "application/offset+octet-stream"
"""Of a body that holds a piece of an upload."""
