"""Logging: one readable line to stderr, or JSON lines for machines; and a limiter for what could repeat each frame."""

import json
import logging
import sys
import threading
import time


class JsonLines(logging.Formatter):
    """One JSON object a line: time (seconds since 1970), level, logger, message."""

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


class OncePerSecond:
    """Lets one message through each second and tells the next one how many were held back. For any thread."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._next_s = 0.0
        self._held = 0

    def warning(self, message: str, *args: object) -> bool:
        """False where it was held back."""
        now_s = time.monotonic()
        with self._lock:
            if now_s < self._next_s:
                self._held += 1
                return False
            held, self._held = self._held, 0
            self._next_s = now_s + 1.0
        self._logger.warning(message + (f" ({held} more like it)" if held else ""), *args)
        return True
