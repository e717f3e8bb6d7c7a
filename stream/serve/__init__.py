"""The processes of `mattebox serve`: started, kept up and ended together."""
