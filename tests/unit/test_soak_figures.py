"""A soak tells growth from noise."""

from support.soak_figures import MB, Sample, growth, slope, worker_growth


def sample(minute: float, resident: int, **workers: int) -> Sample:
    """Return what was seen at a moment; workers are named w and their pid."""
    return Sample(minute, resident, 20, 2, {int(name[1:]): size for name, size in workers.items()})


def test_a_line_is_fitted_through_noise() -> None:
    assert slope([(0, 1.0), (1, 3.0), (2, 5.0)]) == 2.0
    assert slope([(0, 5.0), (1, 4.0), (2, 6.0), (3, 5.0)]) < 0.5
    assert slope([]) == slope([(1, 1.0)]) == slope([(1, 1.0), (1, 9.0)]) == 0.0


def test_only_the_second_half_counts() -> None:
    warming = [sample(minute, minute * 10 * MB) for minute in range(5)]
    steady = [sample(minute, 40 * MB) for minute in range(5, 10)]
    assert growth([*warming, *steady]) == 0
    leaking = [sample(minute, (40 + minute) * MB) for minute in range(10)]
    assert round(growth(leaking) / MB, 6) == 4.0


def test_only_workers_that_lasted_are_judged() -> None:
    seen = [sample(m, MB, w1=m * MB, **({"w2": 99 * MB} if m == 9 else {})) for m in range(10)]
    found = worker_growth(seen)
    assert list(found) == [1] and round(found[1] / MB, 6) == 4.0
