"""The edge of the matte: its shape, and the colours of the foreground there."""
