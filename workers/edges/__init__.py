"""The matte's edge: its shape, and the subject's own colours there."""
