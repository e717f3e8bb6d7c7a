"""Parameters of temporal smoothing (`workers/steady/smooth.py`), by kind of matte, mode and strength.

The values were tuned on clips with true alpha: one or two people in front of moving pictures.
"""

import math
from dataclasses import dataclass, replace

from stream.records.engines import ENGINES
from stream.records.options import Temporal

_NEGLIGIBLE = 0.05  # weight of a frame in an average
NO_DOUBT = 1.0  # value of `Tuning.doubt` that disables it: alphas never differ by more than 1


@dataclass(frozen=True, slots=True)
class Tuning:
    """Parameters of temporal smoothing.

    look_ahead: number of future frames to use. memory: maximum weight of history against a new frame, 0-1. tolerance:
    difference between frames, in levels summed over Y, U and V, at which history's weight is reduced to 1/e. doubt:
    difference between new alpha and history, 0-1, above which history's weight is reduced if the difference lasts for
    several frames; NO_DOUBT: never.

    radii: of the guided filter's windows, in cells of the grid; empty: no guided filter. black, white: the alphas that
    become 0 and 1. smoothstep: between black and white alpha follows 3x^2 - 2x^3 instead of a straight line. share:
    weight of the smoothed alpha in the result against the engine's alpha, 0-1.

    median: when looking ahead, first remove errors that last for a single frame. burst: number of frames that are
    finished together. Each burst computes the average of the future frames once, so a larger burst is faster but
    delays the output. fine: compute the guided filter's coefficients of narrow windows on the whole grid instead of at
    half its size, and its output at twice the grid's resolution for pictures of at least 500,000 pixels; slower.
    """

    look_ahead: int
    memory: float
    tolerance: float
    doubt: float
    radii: tuple[int, ...]
    black: float
    white: float
    share: float
    smoothstep: bool = False
    median: bool = True
    burst: int = 1
    fine: bool = False


def choose(mode: Temporal, strength: float, engine: str, live: bool) -> Tuning | None:
    """The tuning for an engine's mattes; None: no smoothing. `auto` looks ahead for files, not for live video.

    engine: its name; one without a record is treated as having fine and steady mattes.
    """
    record = ENGINES.get(engine)
    if mode is Temporal.AUTO:
        steady = record is None or record.steady
        mode = Temporal.OFF if steady else Temporal.LIVE if live else Temporal.OFFLINE
    if mode is Temporal.OFF or strength == 0.0:
        return None
    tuning = (_coarse if record is not None and record.coarse else _sharp)(mode, strength)
    return replace(tuning, burst=1) if live else tuning  # live frames must not wait for a burst to fill


def unfitted(tuning: Tuning) -> Tuning:
    """The tuning without the guided filter, and without the curve that sharpens its output."""
    return replace(tuning, radii=(), black=0.0, white=1.0, smoothstep=False)


def history(tuning: Tuning) -> int:
    """Number of frames after which an earlier frame has a negligible weight: it is multiplied by `memory` per frame."""
    return 0 if tuning.memory <= 0 else math.ceil(math.log(_NEGLIGIBLE) / math.log(tuning.memory))


def _coarse(mode: Temporal, strength: float) -> Tuning:
    """For small, soft mattes, computed frame by frame."""
    share = min(1.0, 2 * strength)
    memory = 1 - 1 / (1 + 20 * strength)
    if mode is Temporal.OFFLINE:  # uses both directions, so a high tolerance causes no lag and doubt is not needed
        # On 13 clips, as ratios to the raw alphas: dtSSD 0.519, MAD 0.731; both are 0.002 to 0.003 worse if radius
        # 2 is fitted at half the grid's size, and 0.005 to 0.007 worse with 16 frames ahead.
        radii, level = (2, 6), 0.08 * share
        steep = Tuning(24, memory, 46.0 * strength, NO_DOUBT, radii, level, 1.0, share, smoothstep=True)
        return replace(steep, burst=12, fine=True)
    # Radii: 2 and 6 have 0.005 more dtSSD live and 0.003 live+1, 2 and 12 have 0.005 and 0.002 less but 0.01 more MAD;
    # 4 alone has 0.007 more live.
    ahead = 1 if mode is Temporal.LIVE_1 else 0
    return Tuning(ahead, memory, 30.0 * strength, 0.45, (2, 8), 0.2 * share, 1 - 0.1 * share, share)


def _sharp(mode: Temporal, strength: float) -> Tuning:
    """For precise mattes that are already steady: weak, and only where the picture is unchanged.

    Tuned with rvm, and used for every engine that is not marked as coarse.
    """
    share = min(1.0, 2 * strength)
    if mode is Temporal.OFFLINE:
        ahead, burst, memory, tolerance, level = 6, 3, 0.85, 12.0, 0.045 * strength
    else:
        ahead, burst, memory, tolerance, level = int(mode is Temporal.LIVE_1), 1, 0.5, 10.0, 0.035 * strength
    memory, tolerance = memory * strength, tolerance * strength
    return Tuning(ahead, memory, tolerance, 0.45, (), level, 1 - level, share, median=False, burst=burst)
