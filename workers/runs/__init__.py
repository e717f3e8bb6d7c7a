"""One video from name to name, without a service: what `mattebox file` and `mattebox stream` run."""
