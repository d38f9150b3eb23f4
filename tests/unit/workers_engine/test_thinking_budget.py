"""Reasoning ends where its tokens are used up, once, and the rest of the answer is as it would have been."""

import ctypes
from dataclasses import dataclass, field, replace

import pytest

from mlxd.workers.engine.thinking_budget import BudgetMatcher, ThinkingBudget

OPEN, CLOSE, WORD = 40, 41, 7
WIDTH = 64


@dataclass
class Inner:
    """A matcher that allows one token and remembers what it was given."""

    width: int = 96
    error: str | None = None
    over: bool = False
    taken: list[tuple[int, int]] = field(default_factory=list)

    def take(self, position: int, token: int) -> None:
        self.taken.append((position, token))

    def copy(self) -> "Inner":
        return replace(self, taken=list(self.taken))

    def fill(self, address: int, nbytes: int) -> None:
        ctypes.memset(address, 0, nbytes)
        ctypes.c_uint32.from_address(address).value = 1 << WORD


@dataclass
class Grammar:
    """A grammar of one matcher."""

    matcher: Inner

    def start(self) -> Inner:
        return self.matcher


def matcher(tokens: int, *, is_open: bool = True, inner: Inner | None = None) -> BudgetMatcher:
    budget = ThinkingBudget(
        tokens=tokens,
        opening=OPEN,
        closing=CLOSE,
        is_open=is_open,
        width=WIDTH,
        inner=Grammar(inner) if inner else None,
    )
    found = budget.start()
    assert isinstance(found, BudgetMatcher)
    return found


def allowed(found: BudgetMatcher) -> set[int]:
    """Return the tokens that may come next."""
    words = (ctypes.c_uint32 * (found.width // 32))()
    found.fill(ctypes.addressof(words), ctypes.sizeof(words))
    return {token for token in range(found.width) if words[token // 32] >> token % 32 & 1}


def feed(found: BudgetMatcher, *tokens: int, at: int = 0) -> None:
    for position, token in enumerate(tokens, at):
        found.take(position, token)


@pytest.mark.parametrize("tokens", [1, 2, 5])
def test_nothing_but_the_end_may_follow_the_last_token_of_the_budget(tokens: int) -> None:
    found = matcher(tokens)
    for position in range(tokens):
        assert allowed(found) == set(range(WIDTH))
        found.take(position, WORD)
    assert allowed(found) == {CLOSE}
    found.take(tokens, CLOSE)
    feed(found, *[WORD] * 20, at=tokens + 1)
    assert allowed(found) == set(range(WIDTH))


def test_a_block_that_ends_in_time_is_left_alone() -> None:
    found = matcher(3)
    feed(found, WORD, WORD, CLOSE, *[WORD] * 9)
    assert allowed(found) == set(range(WIDTH))


def test_text_before_a_block_costs_nothing_and_a_second_block_shares_the_budget() -> None:
    found = matcher(3, is_open=False)
    feed(found, *[WORD] * 9, OPEN, WORD, WORD, CLOSE, WORD, OPEN)
    assert allowed(found) == set(range(WIDTH))
    found.take(15, WORD)
    assert allowed(found) == {CLOSE}


def test_a_token_that_is_told_twice_counts_once() -> None:
    found = matcher(2)
    for _ in range(5):
        found.take(0, WORD)
    assert allowed(found) == set(range(WIDTH))


def test_what_the_answer_must_look_like_besides_goes_on_through_the_forced_end() -> None:
    inner = Inner()
    found = matcher(1, inner=inner)
    assert found.width == inner.width
    assert allowed(found) == {WORD}
    found.take(0, WORD)
    assert allowed(found) == {CLOSE}
    found.take(1, CLOSE)
    assert allowed(found) == {WORD}
    assert inner.taken == [(0, WORD), (1, CLOSE)]
    inner.error, inner.over = "broken", True
    assert (found.error, found.over) == ("broken", True)


def test_alone_it_never_ends_an_answer() -> None:
    found = matcher(1)
    assert (found.error, found.over) == (None, False)


def test_a_copy_goes_its_own_way() -> None:
    inner = Inner()
    found = matcher(2, inner=inner)
    found.take(0, WORD)
    twin = found.copy()
    assert twin.width == found.width
    feed(twin, WORD, at=1)
    assert allowed(twin) == {CLOSE}
    assert allowed(found) == {WORD}
    assert inner.taken == [(0, WORD)]
