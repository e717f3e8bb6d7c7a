"""The BiRefNet network. Loading, precision and device are chosen elsewhere."""
