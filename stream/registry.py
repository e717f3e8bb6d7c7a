"""Registries are plain dicts of name → "module:Class"; the class is imported on first use."""

from importlib import import_module
from typing import Any


def find(target: str) -> Any:
    """Import and return the object at `target`, written "module:name"."""
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)
