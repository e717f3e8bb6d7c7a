"""Temporal smoothing of mattes, on the CPU and on a device."""
