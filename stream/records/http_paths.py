"""Constants of the HTTP API that the server and its Python client share: paths, and headers of tus 1.0.

The pages' scripts repeat them; `tests/test_one_owner.py` compares the two.
"""

JOBS = "/api/jobs"
FEEDS = "/api/feeds"
OPTIONS = "/api/options"
BACKGROUNDS = "/api/backgrounds"
UPLOADS = "/api/uploads"
TUS_VERSION = "1.0.0"
TUS_HEADER = "Tus-Resumable"
TUS_TYPE = "application/offset+octet-stream"
"""Content type of a request body with part of an upload."""
