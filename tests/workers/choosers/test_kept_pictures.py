"""Pictures of frames with prompts: exact, and within a limit."""

import numpy as np

from workers.choosers.kept_pictures import LIMIT_BYTES, KeptPictures
from workers.choosers.tracks import Prompted, Track, by_need


def noise(seed: int, side: int = 32) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def test_a_picture_is_returned_exactly() -> None:
    kept = KeptPictures().adding(7, noise(7)).adding(9, noise(9))
    for index in (7, 9):
        found = kept.picture(index)
        assert found is not None
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, noise(index))
    assert kept.picture(8) is None


def test_the_most_important_are_kept_within_the_limit() -> None:
    kept = KeptPictures()
    for index in range(6):
        kept = kept.adding(index, noise(index))
    one = len(kept.encoded[0])
    assert list(kept.only([4, 0, 4, 8, 1]).encoded) == [4, 0, 1]
    assert list(kept.only([4, 0, 1], limit=2 * one + one // 2).encoded) == [4, 0]
    assert not kept.only([]).encoded


def test_512_prompts_on_512_frames_stay_within_the_limit() -> None:
    """Eight subjects of 64 prompts: of noise, which cannot be compressed, each picture of 256x256 has 192 KiB."""
    kept, indices = KeptPictures(), list[int]()
    for index in range(512):
        indices.append(index)
        kept = KeptPictures({**kept.encoded, index: bytes(256 * 256 * 3)}).only([indices[0], *indices[:0:-1]])
    assert sum(map(len, kept.encoded.values())) <= LIMIT_BYTES
    assert 0 in kept.encoded
    assert 511 in kept.encoded


def test_frames_that_began_a_subject_are_needed_most_then_the_latest() -> None:
    def track(*indices: int) -> Track:
        return Track(tuple(Prompted(index, 96, 64, ()) for index in indices))

    assert by_need([track(0, 5, 9), Track(), track(3, 9, 12)]) == [0, 3, 12, 9, 5]
