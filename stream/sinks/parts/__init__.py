"""What sinks are built of: `partial` (nothing incomplete is visible), `sound`, `gif`. For jobs: `several` (one video
into several outputs), `segment` (a part of an output, and the join of all parts), `joined`, `sequential` (the whole).
"""
