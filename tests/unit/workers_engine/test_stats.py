"""Speed is that of the last seconds, and falls to nothing when nothing more comes."""

import pytest

from mlxd.workers.engine.stats import WINDOW, Board, Counters, Speed


def speed(*entries: tuple[float, int]) -> Speed:
    made = Speed()
    for now, tokens in entries:
        made = made.plus(tokens, now)
    return made


def test_speed_is_tokens_by_time_since_the_window_began() -> None:
    steady = speed(*((second / 10, 5) for second in range(100)))
    assert steady.at(10.0) == pytest.approx(50, rel=0.1)


def test_speed_falls_to_zero_when_nothing_more_comes() -> None:
    burst = speed((0.0, 100))
    assert burst.at(1.0) == 100
    assert burst.at(4.0) == 25
    assert burst.at(WINDOW) == 0.0
    assert Speed().at(3.0) == 0.0


def test_old_entries_are_forgotten() -> None:
    many = speed(*((float(second), 1) for second in range(1000)))
    assert len(many.entries) <= WINDOW + 1


def test_memory_is_read_a_few_times_a_second_only() -> None:
    counters = Counters(max_batch=1)
    assert counters.memory_is_old(100.0)
    assert not counters.memory_is_old(100.1)
    assert counters.memory_is_old(100.3)


def test_the_board_shows_the_last_counts() -> None:
    board, counters = Board(3), Counters(max_batch=3)
    assert board.read().max_batch == 3
    counters.count_generated(4, 1, 10.0)
    counters.steps = 2
    board.publish(counters.snapshot(), counters.speed)
    shown = board.read()
    assert (shown.steps, shown.generated_tokens, shown.finished) == (2, 4, 1)
