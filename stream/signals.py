"""The signals that ask a program to terminate. Imports nothing large: the command line loads it first."""

import signal


def endings() -> list[signal.Signals]:
    """SIGINT, SIGTERM and SIGHUP, except those that were ignored when this program was started.

    Ignored signals stay ignored: nohup ignores SIGHUP, and a shell ignores SIGINT for background programs.
    """
    known = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) not in (signal.SIG_IGN, None)]
