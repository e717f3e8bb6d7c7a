"""Parts of sinks: `partial` (an output gets its name only when it is complete), `sound`, `gif`.

For jobs: `several` (one video into several outputs), `segment` (writes one segment of an output), `joined` and
`sequential` (write the joined output).
"""
