"""What a machine reaches: one file a benchmark, each beside a named alternative in the same run."""
