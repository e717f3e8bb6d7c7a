"""Distinguishes jitter in the times of sound from overlaps and gaps."""

_JUMP_S = 0.1  # larger differences are never jitter
_STEADY = 8  # a smaller difference that persists for more packets than this is not jitter either


class Drift:
    """Compares each packet's time with the end of the packet before. Call it for every packet or frame, in order."""

    def __init__(self) -> None:
        self._run = 0
        self._correcting = False

    def is_real(self, ahead_s: float, slack_s: float) -> bool:
        """Whether a difference must be corrected: a large one at once, a small one if it persists. Correction continues
        until the difference is gone.

        ahead_s: the packet's time minus the end of the one before, in seconds; negative where they overlap. slack_s:
        differences of up to this are ignored.
        """
        if abs(ahead_s) <= slack_s:
            self._run, self._correcting = 0, False
            return False
        sign = 1 if ahead_s > 0 else -1
        self._run = self._run + sign if self._run * sign >= 0 else sign
        self._correcting |= abs(ahead_s) > _JUMP_S or abs(self._run) > _STEADY
        return self._correcting
