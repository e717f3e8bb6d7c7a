"""The pictures of a video's frames with prompts, kept so that its subjects can be found again without some prompts.

Losslessly compressed, one for each frame whatever the number of its prompts and subjects, and within a limit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np

from workers.device.tensors import Bytes

LIMIT_BYTES = 24 * 2**20  # of one video; about 35 pictures of 1024x1024 of a 640x480 video
_FAST = (cv2.IMWRITE_PNG_COMPRESSION, 1)


@dataclass(frozen=True, slots=True)
class KeptPictures:
    """encoded: PNG, by index of the frame. Its order of the channels is that of the picture, not that of PNG."""

    encoded: Mapping[int, bytes] = field(default_factory=dict)

    def picture(self, index: int) -> Bytes | None:
        """The picture of a frame, uint8 (h, w, 3), exactly as it was added; None if it was not kept."""
        if index not in self.encoded:
            return None
        return np.asarray(cv2.imdecode(np.frombuffer(self.encoded[index], np.uint8), cv2.IMREAD_COLOR), np.uint8)

    def adding(self, index: int, picture: Bytes) -> "KeptPictures":
        """With the picture of one more frame."""
        _, encoded = cv2.imencode(".png", picture, _FAST)
        return KeptPictures({**self.encoded, index: encoded.tobytes()})

    def only(self, wanted: Iterable[int], limit: int = LIMIT_BYTES) -> "KeptPictures":
        """Those of the wanted frames, as many as fit in `limit` bytes. wanted: by index, the most important first."""
        kept: dict[int, bytes] = {}
        for index in wanted:
            encoded = self.encoded.get(index)
            if encoded is not None and index not in kept and len(encoded) <= limit:
                kept[index] = encoded
                limit -= len(encoded)
        return KeptPictures(kept)
