"""Whether this process is a program under a supervisor. Imports nothing large: the command line loads it first."""

import os

HEARTBEAT_FD = "MATTEBOX_HEARTBEAT_FD"  # environment variable with the descriptor of the pipe for heartbeats


def is_supervised() -> bool:
    """Whether a supervisor that watches its heartbeats started this process. False once it sends them
    (`stream.serve.heartbeat.beating`), because its own children must not look for the pipe.

    Such a program ends without a message when it is interrupted: the supervisor did that, and reports why.
    """
    return HEARTBEAT_FD in os.environ
