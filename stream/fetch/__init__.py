"""Requests to URLs given by users."""
