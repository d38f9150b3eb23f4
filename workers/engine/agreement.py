"""Decide what of a guess is taken, how far to guess next, and what earlier text suggests. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

WELL = 0.35
"""Part of the guessed tokens that must come true for guessing to go on; below it, the device only works for nothing."""
MEMORY = 0.85
"""How much of the part that came true is remembered from one guess to the next."""
PAUSES = (8, 512)
"""Steps without a guess after guesses went wrong: at first, and at the most; each time is twice as long."""


def agreeing(guessed: Sequence[int], sampled: Sequence[int]) -> int:
    """Return how many guessed tokens were what the model then chose, up to the first that was not.

    `sampled` has one token more: what the model chose at each position, given that all guesses before it are true.
    """
    for place, (guess, token) in enumerate(zip(guessed, sampled, strict=False)):
        if guess != token:
            return place
    return min(len(guessed), len(sampled))


@dataclass(frozen=True, slots=True)
class Eagerness:
    """How far to guess: one more when all came true, as far as it was right otherwise, not at all for a while."""

    most: int
    width: int = 4
    share: float = 1.0
    """Part of what was guessed lately that came true."""
    pause: int = 0
    """Steps left without a guess."""
    next_pause: int = PAUSES[0]

    @property
    def tokens(self) -> int:
        """Return how many tokens to guess in this step."""
        return 0 if self.pause else min(self.width, self.most)

    def waited(self) -> "Eagerness":
        """Return it after a step without a guess."""
        return replace(self, pause=max(self.pause - 1, 0))

    def told(self, guessed: int, accepted: int) -> "Eagerness":
        """Return it after a guess of so many tokens, so many of which came true."""
        share = MEMORY * self.share + (1 - MEMORY) * accepted / guessed
        width = self.width
        if accepted == guessed:
            width = min(max(width, guessed + 1), self.most)
        else:
            width = accepted + 1
        if share >= WELL:
            settled = PAUSES[0] if share > (1 + WELL) / 2 else self.next_pause
            return replace(self, width=width, share=share, next_pause=settled)
        # The next guess gets another chance: one that comes true ends the doubt.
        return replace(
            self,
            width=width,
            share=WELL,
            pause=self.next_pause,
            next_pause=min(2 * self.next_pause, PAUSES[1]),
        )
