"""Registries are plain dicts of name → "module:Class"; the class is imported when it is first wanted."""

from importlib import import_module
from typing import Any


def find(place: str) -> Any:
    """The object that `module:name` names."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
