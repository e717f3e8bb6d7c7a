"""The commands of `mattebox`, by subject. Like `mattebox.py`, which gathers them, they may know every package."""
