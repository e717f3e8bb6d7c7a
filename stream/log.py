"""Logging to stderr, as readable or JSON lines, and a rate limiter for messages that may repeat every frame."""

import json
import logging
import sys
import threading
import time


class JsonLines(logging.Formatter):
    """One JSON object per line: time (seconds since 1970), level, logger, message, and exception where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def configure(verbosity: int, as_json: bool) -> None:
    """Send the log to stderr. verbosity 0: warnings, 1: info, 2 or more: debug."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    logging.basicConfig(level=level, handlers=[handler], force=True)
    if threading.excepthook is threading.__excepthook__:  # else pytest, for example, has its own
        threading.excepthook = _log_thread_failure


def _log_thread_failure(failure: threading.ExceptHookArgs) -> None:
    """Log the exception that ended a thread, in the format of the log."""
    if failure.exc_value is not None and not isinstance(failure.exc_value, SystemExit):
        name = failure.thread.name if failure.thread else "?"
        logging.getLogger(__name__).error("the thread %r failed", name, exc_info=failure.exc_value)


class OncePerSecond:
    """Logs at most one message per second; the next one logged says how many were suppressed. Thread-safe."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._next_s = 0.0
        self._suppressed = 0

    def warning(self, message: str, *args: object) -> bool:
        """Log a warning. Returns False where it was suppressed."""
        now_s = time.monotonic()
        with self._lock:
            if now_s < self._next_s:
                self._suppressed += 1
                return False
            suppressed, self._suppressed = self._suppressed, 0
            self._next_s = now_s + 1.0
        self._logger.warning(message + (f" ({suppressed} more like it)" if suppressed else ""), *args)
        return True
