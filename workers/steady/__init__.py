"""Steadying mattes over time, on the CPU and on a device."""
