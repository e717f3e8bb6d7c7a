"""Limits and patterns of the protocol: what web, workers, command line and pages agree on and no operator chooses.

What an operator chooses is in `stream/settings.py`; lifetimes in Redis are in `stream/records/keys.py`.
"""

import re

SIDE_PX = 16_384  # of an output that a job asks for
TITLE = 200  # characters of a user's name for a video
ADDRESS = 2048  # characters of a URL that a job names
ID = 64  # characters of an id in a record
OUTPUTS = 4  # of a job
PRIORITY, PRIORITY_MOST = 5, 9  # of a job by default, and at most; 0 is the least
JOBS_KEEP_S = 7 * 86_400  # a job after its end, whatever the operator sets
STREAM_LINK_S = 30 * 86_400  # a link to view or to publish a stream
DOWNLOAD_LINK_S = JOBS_KEEP_S  # a link to a result, which lives no longer

NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""Pattern of the names of users and of streams: they become names of folders and parts of addresses."""
OUTPUT_NAME_LENGTH = 32
OUTPUT_NAME = f"[a-z0-9][a-z0-9-]{{0,{OUTPUT_NAME_LENGTH - 1}}}"
"""Pattern of the name of a job's output: it becomes a part of a storage key."""
RECORD_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""The id of a job or a session, as the server makes it: a random UUID."""
FILE_ID = re.compile("[0-9a-f]{32}")
"""The id of an upload or a background, as the server makes it."""
