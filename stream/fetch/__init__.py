"""Downloading videos from addresses that users give."""
