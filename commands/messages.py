"""Messages of commands for people, beside their results."""

import sys


def to_stderr(sentence: str) -> None:
    print(sentence, file=sys.stderr)
