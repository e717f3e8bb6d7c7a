"""The small grid on which mattes are smoothed over time, and the constants shared by the CPU and the torch version.

A module of its own because `motion_torch` and `smooth_torch` must run where OpenCV and FFmpeg are not installed.
"""

WIDTH, HEIGHT = 256, 144  # cells

# Of a cut: residual over contrast, and least residual in levels. Measured: cars that pass close to a camera reach 0.3,
# cuts to another scene 0.67 and more.
CUT_RATIO, CUT_LEVELS = 0.45, 6.0

MAX_GAP_S = 0.5  # after a longer pause it may be another scene
RAMP_FRAMES = 3  # of a scene, until its mattes are smoothed in full
MIN_HISTORY_WEIGHT = 0.75  # even of a single frame, where the pictures agree
DOUBT_DECAY = 0.3  # share of the old doubt in the new: a change that lasts two frames is accepted in full
DOUBT_WIDTH = 0.18  # of alpha, beyond the tolerated doubt, at which history counts 1/e
EPSILON = 5e-5  # of the guided filter; tried: 2e-5 to 1e-2
