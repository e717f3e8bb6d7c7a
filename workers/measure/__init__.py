"""Measuring mattes against the truth, and what works on this machine."""
