"""Write what a grammar allows, token by token and at random, without a model."""

import functools
import json
import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from mlxd.workers.engine.grammar import CompiledGrammar, Compiler, special_tokens

LONGEST = 2000
"""Tokens after which a walk has lost itself."""
IMPATIENT = 40
"""Tokens after which a walk prefers what ends strings and numbers."""
FREE = 60
"""With more tokens to choose from than this, a walk is inside some text."""
DETOURS = 0.2
CLOSING = ('"', "}", "]", ")")
TAGS = ("<|end|><|start|>assistant", "\n</parameter>", "</arg_value>", "</parameter>", "</think>")
"""What ends text that is not JSON."""


def whole(grammar: Mapping[str, object]) -> str:
    """Return llguidance's notation of a single grammar."""
    return json.dumps({"grammars": [grammar]})


class Walker:
    """Know one tokenizer."""

    def __init__(self, tokenizer: Any, vocab: int | None = None) -> None:
        core = tokenizer.backend_tokenizer
        self.tokenizer = tokenizer
        self.vocab = vocab or core.get_vocab_size()
        self.ends = [tokenizer.eos_token_id]
        self._specials = set(special_tokens(tokenizer).values())
        self.compiler = Compiler(tokenizer, self.vocab, self.ends)

    def walk(self, compiled: CompiledGrammar, seed: int, *, begin: str = "") -> str:
        """Return one text the grammar allows; from `begin` on every step is a random choice of what may come next."""
        draw, matcher = random.Random(seed), compiled.start()
        mask = np.zeros(-(-matcher.width // 32), np.uint32)
        tokens: list[int] = []
        plan: list[str] = []
        for token in self.tokenizer.encode(begin, add_special_tokens=False):
            matcher.take(len(tokens), token)
            tokens.append(token)
        assert matcher.error is None, matcher.error
        while not matcher.over:
            assert len(tokens) < LONGEST, self.tokenizer.decode(tokens)[-200:]
            matcher.fill(mask.ctypes.data, mask.nbytes)
            assert matcher.error is None, matcher.error
            bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
            allowed = np.flatnonzero(bits).tolist()
            if len(tokens) > IMPATIENT:
                allowed = self._last(draw, tokens, allowed, plan)
            token = draw.choice(allowed)
            if token in self.ends:
                break
            matcher.take(len(tokens), token)
            assert matcher.error is None, matcher.error
            tokens.append(token)
        return str(self.tokenizer.decode(tokens))

    def accepts(self, compiled: CompiledGrammar, text: str) -> bool:
        """Say whether the grammar allows a text."""
        matcher = compiled.start()
        for at, token in enumerate(self.tokenizer.encode(text, add_special_tokens=False)):
            if matcher.over:
                return False
            matcher.take(at, token)
        if matcher.over:
            return matcher.error is None
        mask = np.zeros(-(-matcher.width // 32), np.uint32)
        matcher.fill(mask.ctypes.data, mask.nbytes)
        return bool(np.unpackbits(mask.view(np.uint8), bitorder="little")[self.ends[0]])

    def _last(
        self, draw: random.Random, tokens: list[int], allowed: list[int], plan: list[str]
    ) -> list[int]:
        """Return the tokens by which the text ends soonest; `plan` holds a tag that was begun."""
        wanted = [token for token in allowed if token in self.ends]
        wanted = wanted or [token for token in allowed if token in self._specials]
        if wanted:
            return wanted
        texts = {_text(self.tokenizer, token): token for token in allowed}
        quotes = str(self.tokenizer.decode(tokens[-2:]))
        if not plan and len(allowed) > FREE and quotes == '""':  # they end nothing: no JSON
            plan += draw.choice(TAGS)
        if plan and plan[0] in texts:
            return [texts[plan.pop(0)]]
        plan.clear()
        if draw.random() < DETOURS:  # what ends one kind of text is the middle of another
            return allowed
        return next(([texts[end]] for end in CLOSING if end in texts), allowed)


@functools.cache
def _text(tokenizer: Any, token: int) -> str:
    return str(tokenizer.decode([token]))
