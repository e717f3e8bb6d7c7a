"""Live sources: cameras and streams on the network, and a file that is played at its own pace.

`network` and `played` are the sources; `idle` closes one while nobody watches. `protocols` has the schemes, and what
makes the connections of those that FFmpeg does not read. `connections` makes one `connection` after the other, each in
a thread; `connection_errors` puts their ends into words. `format` follows what a source sends, `sound` and
`sound_converter` make one continuous track of it, `playlist` reads HLS, and `paced` slows down what is sent faster than
it plays.
"""
