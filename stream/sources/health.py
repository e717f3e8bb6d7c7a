"""Counts the frames of a file that were damaged or lost."""

import av


class DecodeHealth:
    """Decoding errors. cut: the file could not be read to its end. lost: frames that could not be decoded. damaged:
    frames decoded with errors. ended_badly: the last frame was lost or damaged. overlapping: frames left out because
    their times overlap an earlier recording; no errors."""

    def __init__(self) -> None:
        self.cut = self.ended_badly = False
        self.good = self.damaged = self.lost = self.overlapping = 0

    def take(self, picture: av.VideoFrame) -> None:
        self.damaged += picture.is_corrupt
        self.good += not picture.is_corrupt
        self.ended_badly = picture.is_corrupt

    def lose_one(self) -> None:
        self.lost += 1
        self.ended_badly = True

    @property
    def bad(self) -> int:
        return self.damaged + self.lost

    @property
    def total(self) -> int:
        return self.good + self.bad
