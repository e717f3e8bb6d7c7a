"""Which weights there are, where they come from, under which licence, and the check that they are the right ones."""
