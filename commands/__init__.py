"""The commands of `mattebox`, by subject. Like `app.py`, which gathers them, they may know every package."""
