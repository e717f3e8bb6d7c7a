"""The signals that ask a program to end. Imports nothing large: the command line needs it before anything else."""

import signal


def endings() -> list[signal.Signals]:
    """SIGINT, SIGTERM and SIGHUP, but those that were ignored when this program was started.

    They stay so: nohup ignores SIGHUP, and a shell SIGINT for what it starts in the background.
    """
    known = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) not in (signal.SIG_IGN, None)]
