"""How strongly an engine's mattes are steadied by `workers/steady/smooth.py`, by kind of matte, mode and strength.

The figures were chosen on clips with true alpha: one person, or two, before moving pictures.
"""

import math
from dataclasses import dataclass, replace

from stream.records.engines import ENGINES
from stream.records.options import Temporal

_FORGOTTEN = 0.05  # share of a mean that is nearly nothing
NO_DOUBT = 1.0  # allows alpha any change, for as long as it likes to be outvoted


@dataclass(frozen=True, slots=True)
class Tuning:
    """How strongly to smooth.

    look_ahead: frames to wait for. memory: most that history weighs against a new frame, 0-1. tolerance: the
    difference, in levels summed over Y, U and V, at which history counts 1/e. doubt: by how much of alpha history may
    be off for more than a frame before it counts less. radii: of the windows in which alpha is drawn anew from the
    picture, in cells of the grid; none: it is not. black, white: the alphas that become 0 and 1. smoothstep: between
    them alpha follows 3x^2 - 2x^3, not a straight line. share: how far to go from the engine's alpha to the result,
    0-1. median: looking ahead, take single pops out first. burst: frames that leave together once look_ahead is
    exceeded; what comes after them is then walked through once for all of them. fine: there is time to draw
    with care: by lines found on the whole grid, and for pictures of half a million pixels and more twice as fine as it.
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
    """What to do with an engine's mattes; None: nothing. `auto` follows the job: files may look ahead, live cannot.

    engine: its name; one that has no record is taken for one with fine and steady mattes.
    """
    record = ENGINES.get(engine)
    if mode is Temporal.AUTO:
        steady = record is None or record.steady
        mode = Temporal.OFF if steady else Temporal.LIVE if live else Temporal.OFFLINE
    if mode is Temporal.OFF or strength == 0.0:
        return None
    tuning = (_coarse if record is not None and record.coarse else _sharp)(mode, strength)
    return replace(tuning, burst=1) if live else tuning  # who watches wants one frame at a time


def unfitted(tuning: Tuning) -> Tuning:
    """The same without drawing mattes anew from the picture."""
    return replace(tuning, radii=(), black=0.0, white=1.0, smoothstep=False)


def history(tuning: Tuning) -> int:
    """Frames after which nearly nothing is left of what was before them: history fades by `memory` a frame."""
    return 0 if tuning.memory <= 0 else math.ceil(math.log(_FORGOTTEN) / math.log(tuning.memory))


def _coarse(mode: Temporal, strength: float) -> Tuning:
    """Small soft mattes made frame by frame."""
    share = min(1.0, 2 * strength)
    memory = 1 - 1 / (1 + 20 * strength)
    if mode is Temporal.OFFLINE:  # sees both sides, so that tolerance costs no lag and doubt is not needed
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
    """Mattes that are precise, and steady already: a little, and only where the picture is sure to be the same.

    Measured with rvm. Without truth at hand to say better, every engine that is not known to be coarse is treated so.
    """
    share = min(1.0, 2 * strength)
    if mode is Temporal.OFFLINE:
        ahead, burst, memory, tolerance, level = 6, 3, 0.85, 12.0, 0.045 * strength
    else:
        ahead, burst, memory, tolerance, level = int(mode is Temporal.LIVE_1), 1, 0.5, 10.0, 0.035 * strength
    memory, tolerance = memory * strength, tolerance * strength
    return Tuning(ahead, memory, tolerance, 0.45, (), level, 1 - level, share, median=False, burst=burst)
