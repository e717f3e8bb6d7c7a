"""Choosers find the subjects that a user's prompts describe; engines draw their edges."""
