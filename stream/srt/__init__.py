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


def open_source(address: Address, settings: Settings) -> SrtReader:
    """The opener of live sources. Raises UsageError if there is no program, or the address is invalid."""
    return SrtReader(SrtAddress.parse(address), settings.rtsp_timeout_s)
