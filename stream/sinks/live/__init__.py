"""Outputs of live video: several at once, each with a queue and a thread of its own.

`fan_out` is the sink that `pump` writes to; `spec` what an output is and its state; `protocols` the registry of address
schemes; `base` the interfaces that a new kind of output implements; `packets` and `header` what they get.

`encodes` shares the encoders of `video` and `sound` among outputs of equal settings. `output` is one output: its state,
its retries and its thread; `packet_output` and `frame_output` are its two kinds. `ring` is the queue in front of it,
`sent` its meter, `reasons` why it is not live.

`push` writes packets through a child process, `push_child`, which can be killed when its peer hangs. `recording` and
`hls` write files in this way, `srt` sends to a program. `frame_sink` writes frames to virtual cameras and to files of
other formats.
"""
