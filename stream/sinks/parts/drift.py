"""Tells jitter in the times of sound from overlaps and gaps."""

_JUMP_S = 0.1  # larger differences are never jitter
_STEADY = 8  # packets after which a difference that stays is not jitter either


class Drift:
    """Compares times with the end of the sound before. Feed it every packet or frame, in order."""

    def __init__(self) -> None:
        self._run = 0
        self._correcting = False

    def is_real(self, ahead_s: float, slack_s: float) -> bool:
        """Whether a difference is to be corrected: a large one at once, a small one when it stays; then until it is
        gone.

        ahead_s: the time less the end of the sound before, negative where they overlap. slack_s: differences up to this
        are none.
        """
        if abs(ahead_s) <= slack_s:
            self._run, self._correcting = 0, False
            return False
        sign = 1 if ahead_s > 0 else -1
        self._run = self._run + sign if self._run * sign >= 0 else sign
        self._correcting |= abs(ahead_s) > _JUMP_S or abs(self._run) > _STEADY
        return self._correcting
