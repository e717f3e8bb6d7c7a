"""Parts of sinks: `partial` (an output gets its name only when it is complete), `gif`, and for audio tracks `sound`,
`encoded_sound`, `sound_format`, `drift` and `trial` (whether the muxer accepts a packet). `deep` has frames of more
than 8 bits. `discarded` is a file that forgets its content. `extras` writes what else the source carries, `subtitles`
its subtitle and data tracks; `left_out` has the warnings about what the format cannot hold. `sequence` is a folder of
numbered pictures, `numbered_pictures` writes its files.

For jobs: `several` (one video into several outputs), `segment` (writes one segment of an output), `joined` and
`sequential` (write the joined output).
"""
