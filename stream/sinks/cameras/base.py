"""The interface of a virtual camera."""

from fractions import Fraction
from typing import Protocol

from stream.picture.frames import Plane


class VirtualCamera(Protocol):
    """A camera that other programs see, and that shows the pictures that are sent to it.

    name: for messages. All methods raise DeviceError.
    """

    name: str

    def open(self, size: tuple[int, int], rate: Fraction) -> tuple[int, int]:
        """Make the camera available, with pictures of (width, height) in pixels and so many frames per second.

        Returns the size of its pictures, which may differ from the requested one.
        """
        ...

    def send(self, pixels: Plane) -> None:
        """Show a picture: uint8 I420 (H*3/2, W) in BT.601 limited range. May block while the device is slow."""
        ...

    def watched(self) -> bool | None:
        """Whether a program reads from the camera; None where the system cannot tell. Safe from any thread."""
        ...

    def close(self) -> None:
        """Remove the camera, or stop writing to it. Ends a `send` that blocks, where that is possible. Idempotent."""
        ...
