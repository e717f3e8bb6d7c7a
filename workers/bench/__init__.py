"""Benchmarks, one per file. Each compares with a named alternative in the same run."""
