"""BiRefNet's network. Pure: no loading, no precision, no device."""
