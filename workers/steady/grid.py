"""The small grid on which mattes are steadied, and the figures that do not hang on what computes there.

For `motion` and `smooth`, which work on the CPU, and `motion_torch` and `smooth_torch`, which work on a device that
may have none of the libraries of the former.
"""

WIDTH, HEIGHT = 256, 144

CUT, LEAST = 0.45, 6.0  # measured: fast cars before a camera reach 0.3, cuts to another scene 0.67 and more

GAP_S = 0.5  # after a longer pause nothing says that it is still the same scene
RAMP = 3  # frames of a scene until its mattes are smoothed in full
TRUST = 0.75  # least weight of history, were it only one frame, where the picture agrees
PATIENCE = 0.3  # share of old doubt in new: a change that lasts two frames is believed in full
SLACK = 0.18  # alpha, beyond the doubt that is let pass, at which history counts 1/e
EPSILON = 5e-5  # of the guided filter; tried: 2e-5 to 1e-2
