"""Backgrounds, and compositing the subject over them."""
