"""SRT connections, through a program that has the SRT library: PyAV's FFmpeg does not have it.

`address` parses srt:// addresses, `programs` finds a program and writes its command, `connection` runs it. A connection
is a file object of MPEG-TS, which PyAV reads or writes.
"""

from stream.address import Address
from stream.settings import Settings
from stream.srt.address import SrtAddress
from stream.srt.connection import SrtReader, SrtWriter
from stream.srt.programs import Program, find_program

__all__ = ["Program", "SrtAddress", "SrtReader", "SrtWriter", "find_program", "open_source"]

_CONNECT_SHARE = 0.8  # of the time limit of sources: the program then says why, before the limit has passed


def open_source(address: Address, settings: Settings) -> SrtReader:
    """The opener of live sources. Raises UsageError if there is no program, or the address is invalid."""
    return SrtReader(SrtAddress.parse(address), _CONNECT_SHARE * settings.rtsp_timeout_s)
