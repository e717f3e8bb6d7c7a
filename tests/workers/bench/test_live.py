"""The numbers with which `mattebox bench live` marks frames survive the codec and the tint of the view `overlay`."""

import av
import numpy as np
import pytest

from stream.picture.frames import Frame, to_av
from stream.settings import Settings
from workers.bench.camera import encoded, film, number_in
from workers.scene.composite import overlay

SIZE = (320, 240)


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return film(None, *SIZE, Settings())


@pytest.fixture(scope="module")
def packets(frames: list[Frame]) -> list[bytes]:
    return encoded(frames, *SIZE, Settings())


@pytest.mark.parametrize("alpha", [0, 255, "half"])
def test_numbers_are_read_back(frames: list[Frame], packets: list[bytes], alpha: int | str) -> None:
    matte = np.zeros(SIZE[::-1], np.uint8)
    matte[:, : 0 if alpha == 0 else 150 if alpha == "half" else None] = 255
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    read = []
    for packet in packets:
        for picture in decoder.decode(av.Packet(packet)):
            pixels = np.asarray(picture.to_ndarray(), np.uint8)
            shown = to_av(Frame(overlay(pixels, matte), picture.pts or 0, frames[0].time_base), "yuv420p")
            read.append(number_in(shown))
    assert read == list(range(len(read)))
    assert len(read) >= len(frames) - 2
