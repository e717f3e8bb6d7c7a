"""Scaling a stack of colour and alpha."""

import numpy as np

from stream.picture.frames import split_i420
from stream.picture.stack import scaled
from workers.scene.composite import flat, stacked

COLOUR = (200, 90, 160)


def test_the_black_outside_does_not_darken_the_edge_of_the_subject() -> None:
    alpha = np.zeros((96, 128), np.uint8)
    alpha[20:75, 31:90] = 255
    y, u, v = split_i420(scaled(stacked(flat(*COLOUR, 128, 96), alpha), 64, 48))
    grey = y[48:]
    assert y.shape == (96, 64)
    visible = grey > 16
    assert set(y[:48][visible]) == {COLOUR[0]}
    assert set(y[:48][~visible]) == {16}
    assert set(grey[visible]) == {71, 126, 235}, "a quarter and half at the edge"
    assert set(u[:24].flat) == {COLOUR[1], 128}
    assert set(v[:24].flat) == {COLOUR[2], 128}
    assert set(u[24:].flat) == set(v[24:].flat) == {128}


def test_colour_and_alpha_do_not_mix_at_the_seam() -> None:
    alpha = np.zeros((96, 128), np.uint8)
    alpha[-3:] = 255  # bright colour just above a black half
    y, _, _ = split_i420(scaled(stacked(flat(235, 128, 128, 128, 96), alpha), 80, 56))
    assert y[55].min() == 235
    assert y[56].max() == 16
