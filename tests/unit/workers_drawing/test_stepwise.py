"""A long call gives pieces, goes on where it stood, and ends where nobody wants more."""

from collections.abc import Generator
from typing import Any

import pytest

from mlxd.workers.drawing.stepwise import hand_over, pieces, watch


def collect(running: Generator[Any, None, Any]) -> tuple[list[Any], Any]:
    """Return what was handed over and what came at the end."""
    found = []
    while True:
        try:
            found.append(next(running))
        except StopIteration as over:
            return found, over.value


def counted(count: int, done: list[int]) -> str:
    """Hand numbers over from deep inside a call."""

    def deep(number: int, depth: int) -> None:
        if depth:
            deep(number, depth - 1)
        else:
            hand_over(number)
            done.append(number)

    for number in range(count):
        deep(number, 20)
    return "end"


def test_what_is_handed_over_comes_in_order_and_the_result_at_the_end() -> None:
    done: list[int] = []
    assert collect(pieces(lambda: counted(3, done))) == ([0, 1, 2], "end")
    assert done == [0, 1, 2]


def test_nothing_goes_on_until_it_is_asked_for() -> None:
    done: list[int] = []
    running = pieces(lambda: counted(3, done))
    assert done == [] and next(running) == 0 and done == []
    assert next(running) == 1 and done == [0]


def test_closing_ends_the_call_where_it_stands_and_no_except_exception_holds_it_up() -> None:
    done: list[str] = []

    def stubborn() -> None:
        try:
            while True:
                try:
                    hand_over("step")
                except Exception:
                    done.append("held up")
        finally:
            done.append("cleaned up")

    running = pieces(stubborn)
    assert [next(running), next(running)] == ["step", "step"]
    running.close()
    assert done == ["cleaned up"]


def test_a_failure_comes_out_where_the_next_piece_was_asked_for() -> None:
    def failing() -> None:
        hand_over(1)
        raise ValueError("broken")

    running = pieces(failing)
    assert next(running) == 1
    with pytest.raises(ValueError, match="broken"):
        next(running)


def test_two_calls_can_take_turns() -> None:
    one, other = (pieces(lambda: counted(2, [])) for _ in range(2))
    assert [next(one), next(other), next(one), next(other)] == [0, 0, 1, 1]


def test_handing_over_to_nobody_does_nothing() -> None:
    done: list[int] = []
    assert counted(2, done) == "end" and done == [0, 1]


def test_an_object_is_watched_and_its_class_is_not() -> None:
    class Doubler:
        def __call__(self, number: int, *, more: int = 0) -> int:
            return 2 * number + more

    seen: list[Any] = []
    watched, other = Doubler(), Doubler()
    watch(watched, "__call__", lambda args, kwargs, result: seen.append((args, kwargs, result)))
    assert (watched(2, more=1), other(5)) == (5, 10)
    assert seen == [((2,), {"more": 1}, 5)]
    assert isinstance(watched, Doubler) and type(watched).__name__ == "Doubler"
