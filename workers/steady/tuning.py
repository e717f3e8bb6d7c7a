"""Parameters of temporal smoothing (`workers/steady/smooth.py`), by kind of matte, mode and strength.

The values were tuned on clips with true alpha: one or two people in front of moving pictures.
"""

import math
from dataclasses import dataclass, replace

from stream.records.engines import ENGINES
from stream.records.options import Temporal

_FORGOTTEN = 0.05  # weight in a mean that is negligible
NO_DOUBT = 1.0  # a difference of alpha that is never exceeded: history is always trusted


@dataclass(frozen=True, slots=True)
class Tuning:
    """Parameters of temporal smoothing.

    look_ahead: future frames to use. memory: maximum weight of history against a new frame, 0-1. tolerance: difference
    between frames, in levels summed over Y, U and V, at which history has a weight of 1/e. doubt: difference of alpha,
    0-1, that may last for more than a frame before history gets less weight. radii: of the guided filter's windows, in
    cells of the grid; empty: no guided filter. black, white: the alphas that become 0 and 1. smoothstep: between them
    alpha follows 3x^2 - 2x^3 instead of a straight line. share: of the result against the engine's alpha, 0-1. median:
    when looking ahead, remove errors of a single frame first. burst: number of frames that are output together once
    look_ahead is exceeded, so that the future frames are processed once for all of them. fine: accurate but slower,
    with filter coefficients from the whole grid, and twice its resolution for pictures of at least 500,000 pixels.
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
    return replace(tuning, burst=1) if live else tuning  # viewers need frames one by one


def unfitted(tuning: Tuning) -> Tuning:
    """The same without the guided filter."""
    return replace(tuning, radii=(), black=0.0, white=1.0, smoothstep=False)


def history(tuning: Tuning) -> int:
    """Frames after which earlier ones have a negligible weight: history decays by `memory` per frame."""
    return 0 if tuning.memory <= 0 else math.ceil(math.log(_FORGOTTEN) / math.log(tuning.memory))


def _coarse(mode: Temporal, strength: float) -> Tuning:
    """For small, soft mattes, computed frame by frame."""
    share = min(1.0, 2 * strength)
    memory = 1 - 1 / (1 + 20 * strength)
    if mode is Temporal.OFFLINE:  # uses both directions: tolerance causes no lag, and doubt is not needed
        # On 29 clips, as ratios to the raw alphas: dtSSD 0.568, MAD 0.76. dtSSD is 0.572 without `fine`, and with 16
        # frames ahead; also with a straight line from 0.2 to 0.9, whose MAD is 0.74. Radii 2, 4 and 8 have 0.001 less
        # and take 1.5 ms more. On fourteen of the clips, tolerance times 0.7 and 1.5 was no better.
        radii, level = (2, 6), 0.08 * share
        steep = Tuning(24, memory, 42.0 * strength, NO_DOUBT, radii, level, 1.0, share, smoothstep=True)
        return replace(steep, burst=8, fine=True)
    # Radii: 2 and 6 have 0.005 more dtSSD live and 0.003 live+1, 2 and 12 have 0.005 and 0.002 less but 0.01 more MAD;
    # 4 alone has 0.007 more live.
    ahead = 1 if mode is Temporal.LIVE_1 else 0
    return Tuning(ahead, memory, 30.0 * strength, 0.45, (2, 8), 0.2 * share, 1 - 0.1 * share, share)


def _sharp(mode: Temporal, strength: float) -> Tuning:
    """For precise mattes that are already steady: weak, and only where the picture is certain to be unchanged.

    Tuned with rvm. Used for every engine that is not marked as coarse, as long as no measurements suggest otherwise.
    """
    share = min(1.0, 2 * strength)
    if mode is Temporal.OFFLINE:
        ahead, burst, memory, tolerance, level = 6, 3, 0.85, 12.0, 0.045 * strength
    else:
        ahead, burst, memory, tolerance, level = int(mode is Temporal.LIVE_1), 1, 0.5, 10.0, 0.035 * strength
    memory, tolerance = memory * strength, tolerance * strength
    return Tuning(ahead, memory, tolerance, 0.45, (), level, 1 - level, share, median=False, burst=burst)
