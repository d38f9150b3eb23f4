"""What a benchmark says follows from when text came and how many tokens there were."""

import pytest

from mlxd.supervisor.bench import lengths
from mlxd.supervisor.bench_figures import Samples, Timed, together


def answer(first: float, last: float, tokens: int, *, began: float = 0.0) -> Timed:
    """Return an answer of so many tokens between two moments."""
    timed = Timed(began, prompt=100, cached=20, generated=tokens)
    timed.heard(began, is_text=False)  # the first event only names the role
    timed.heard(first, is_text=True)
    timed.heard(last, is_text=False)
    return timed


def test_speeds_leave_out_the_first_token_and_what_was_remembered() -> None:
    one = answer(2.0, 3.0, 11)
    assert one.first_token_seconds == 2.0
    assert one.prompt_speed == 40.0
    assert one.speed == 10.0


def test_answers_side_by_side_count_from_the_first_text_of_any_to_the_last() -> None:
    assert together([answer(1.0, 3.0, 11), answer(2.0, 5.0, 31)]) == 10.0


def test_what_said_nothing_is_not_measured() -> None:
    mute = Timed(0.0, generated=8)
    mute.heard(1.0, is_text=False)
    assert (mute.first_token_seconds, mute.prompt_speed, mute.speed) == (None, None, None)
    assert together([]) is None
    assert answer(1.0, 1.0, 1).speed is None


def test_a_figure_is_a_median_between_the_worst_and_the_best() -> None:
    samples = Samples()
    samples.add("a", "s", None)
    samples.add("b", "s", None)
    for value in (3.0, 1.0, 2.0, 10.0):
        samples.add("b", "s", value)
    samples.add("a", "ms", 4.0)
    first, second = samples.figures()
    assert (first.name, first.median) == ("a", 4.0)
    assert (second.median, second.low, second.high) == (2.5, 1.0, 10.0)
    assert second.samples == [3.0, 1.0, 2.0, 10.0]


@pytest.mark.parametrize(
    ("window", "asked", "expected"),
    [
        (None, (None, None), (512, 128)),
        (40960, (None, None), (512, 128)),
        (256, (None, None), (128, 64)),
        (2, (None, None), (1, 2)),
        (256, (1000, 500), (1000, 500)),
    ],
)
def test_lengths_fit_a_small_window_unless_somebody_insists(
    window: int | None, asked: tuple[int | None, int | None], expected: tuple[int, int]
) -> None:
    assert lengths(window, *asked) == expected
