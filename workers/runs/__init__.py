"""Matting of one video without a server: the implementation of `mattebox file` and `mattebox stream`."""
