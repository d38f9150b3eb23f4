"""End a block of reasoning that has used up its tokens, whatever else the answer must look like."""

import ctypes
from dataclasses import dataclass

from mlxd.workers.engine.grammar import RowGrammar, RowMatcher

_WORD = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingBudget:
    """Be a grammar that lets a model reason for so many tokens and then closes the block."""

    tokens: int
    opening: int
    """The token that opens a block of reasoning."""
    closing: int
    """The token that closes it."""
    is_open: bool
    """The prompt has opened the block already."""
    width: int
    """Bits of a mask; at least as many as the model has logits."""
    inner: RowGrammar | None = None
    """What the answer must look like besides."""

    def start(self) -> RowMatcher:
        """Return a matcher at the beginning of an answer."""
        return BudgetMatcher(self, self.inner.start() if self.inner is not None else None)


class BudgetMatcher:
    """Follow one row's answer: count its reasoning, and when the tokens are used up allow nothing but its end."""

    def __init__(self, budget: ThinkingBudget, inner: RowMatcher | None) -> None:
        self.width = max(budget.width, inner.width if inner is not None else 0)
        """Bits of a mask."""
        self._budget = budget
        self._inner = inner
        self._taken = 0
        self._is_open = budget.is_open
        self._spent = 0

    @property
    def error(self) -> str | None:
        """What went wrong."""
        return self._inner.error if self._inner is not None else None

    @property
    def over(self) -> bool:
        """Whether the answer is complete and nothing can follow."""
        return self._inner is not None and self._inner.over

    def take(self, position: int, token: int) -> None:
        """Move on by the answer's token at `position`; does nothing for one that was taken before."""
        if position < self._taken:
            return
        self._taken = position + 1
        if self._inner is not None:
            self._inner.take(position, token)
        if token == self._budget.opening:
            self._is_open = True
        elif token == self._budget.closing:
            self._is_open = False
        elif self._is_open:
            self._spent += 1

    def copy(self) -> "BudgetMatcher":
        """Return one that stands in the same place and goes its own way from here."""
        twin = BudgetMatcher(self._budget, self._inner.copy() if self._inner is not None else None)
        twin._taken, twin._is_open, twin._spent = self._taken, self._is_open, self._spent
        return twin

    def fill(self, address: int, nbytes: int) -> None:
        """Write one bit per token to this address, set where the token may come next."""
        if self._is_open and self._spent >= self._budget.tokens:
            ctypes.memset(address, 0, nbytes)
            word, bit = divmod(self._budget.closing, _WORD)
            ctypes.c_uint32.from_address(address + word * (_WORD // 8)).value = 1 << bit
        elif self._inner is not None:
            self._inner.fill(address, nbytes)
        else:
            ctypes.memset(address, 0xFF, nbytes)
