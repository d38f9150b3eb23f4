"""Make prompts of about so many tokens, each different from its first word on."""

import random

from benchmarks.contenders import Contender

_WORDS = (
    "the quick brown fox jumps over a lazy dog while rain falls on Paris and somebody asks what "
    "weather comes next answer as well as you can step by step please think about it first"
).split()
_TRIAL = 400


class Prompts:
    """Know how many tokens a word is for the models compared."""

    def __init__(self, tokens_per_word: float) -> None:
        self._tokens_per_word = tokens_per_word
        self._random = random.Random(0)

    @classmethod
    async def measured(cls, contender: Contender) -> "Prompts":
        """Ask one server how long a prompt is."""
        trial = cls(1.0)
        long = await contender.ask(trial.text(2 * _TRIAL), max_tokens=1)
        short = await contender.ask(trial.text(_TRIAL), max_tokens=1)
        return cls((long.prompt - short.prompt) / _TRIAL)

    def text(self, tokens: int) -> str:
        """Return a text nobody has seen before."""
        words = max(int(tokens / self._tokens_per_word), 1)
        return " ".join(self._random.choices(_WORDS, k=words))
