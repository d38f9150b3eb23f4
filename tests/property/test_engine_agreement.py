"""What is taken of a guess is what the model chose, and guessing that does not pay is given up."""

from hypothesis import given
from hypothesis import strategies as st

from mlxd.workers.engine.agreement import PAUSES, Eagerness, agreeing

TOKENS = st.lists(st.integers(0, 2), max_size=12)


@given(TOKENS, TOKENS)
def test_the_part_taken_agrees_and_is_the_longest_that_does(
    guessed: list[int], sampled: list[int]
) -> None:
    taken = agreeing(guessed, sampled)
    assert guessed[:taken] == sampled[:taken]
    shorter = min(len(guessed), len(sampled))
    assert taken == shorter or guessed[taken] != sampled[taken]


@given(st.integers(1, 20), st.lists(st.floats(0, 1), max_size=200))
def test_no_more_is_guessed_than_may_be(most: int, shares: list[float]) -> None:
    eager = Eagerness(most)
    for share in shares:
        tokens = eager.tokens
        assert 0 <= tokens <= most
        assert 0 <= eager.pause <= PAUSES[1]
        eager = eager.told(tokens, int(share * tokens)) if tokens else eager.waited()


@given(st.integers(1, 20))
def test_guesses_that_never_come_true_become_rare(most: int) -> None:
    eager, guessed = Eagerness(most), 0
    for _ in range(2000):
        guessed += eager.tokens
        eager = eager.told(eager.tokens, 0) if eager.tokens else eager.waited()
    assert guessed < 40


@given(st.integers(1, 20))
def test_guesses_that_come_true_get_as_long_as_they_may(most: int) -> None:
    eager = Eagerness(most)
    for _ in range(20):
        eager = eager.told(eager.tokens, eager.tokens)
    assert eager.tokens == most


def test_a_text_that_turns_predictable_is_guessed_again() -> None:
    eager = Eagerness(8)
    for _ in range(300):
        eager = eager.told(eager.tokens, 0) if eager.tokens else eager.waited()
    for _ in range(PAUSES[1] + 40):
        eager = eager.told(eager.tokens, eager.tokens) if eager.tokens else eager.waited()
    assert eager.tokens == 8
