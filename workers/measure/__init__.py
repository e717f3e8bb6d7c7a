"""Measuring mattes against ground truth, and checking what works on this machine."""
