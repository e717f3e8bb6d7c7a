from stream.sinks.parts.drift import Drift


def judged(*ahead_s: float) -> list[bool]:
    drift = Drift()
    return [drift.is_real(ahead, 0.01) for ahead in ahead_s]


def test_jitter_is_not_corrected() -> None:
    assert not any(judged(*[0.0, 0.05, -0.05, 0.005, 0.09, -0.09] * 10))


def test_a_large_difference_is_corrected_until_it_is_gone() -> None:
    assert judged(0.0, -0.2, -0.18, -0.05, -0.02, -0.008, -0.02) == [False, True, True, True, True, False, False]


def test_a_small_difference_that_stays_is_corrected() -> None:
    assert judged(*[0.03] * 9) == [False] * 8 + [True]
    assert judged(*[-0.03] * 9) == [False] * 8 + [True]
