"""Compile grammars for one model's vocabulary and follow answers through them; the only user of llguidance.

llguidance is imported on first use: most workers never need it.
"""

import logging
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Protocol

from mlxd.workers.engine.detokenize import pieces_of

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

_log = logging.getLogger(__name__)

STEP_ITEMS = 20_000
"""Work of the parser per token, under 0.1 s: a grammar that is more ambiguous fails its row, the others wait for it."""
_LONGEST_REASON = 400
_EXCERPT = re.compile(r"\s*(\d+ \||\^)")
"""Lines that quote the grammar; the caller knows it, or never saw what was made of it."""


class GrammarRefused(Exception):
    """Say why a grammar can't be enforced."""


class RowMatcher(Protocol):
    """Follow one row's answer and say what may come next; must not raise."""

    @property
    def width(self) -> int:
        """Bits of a mask; at least as many as the model has logits."""
        ...

    @property
    def error(self) -> str | None:
        """What went wrong."""
        ...

    @property
    def over(self) -> bool:
        """Whether the answer is complete and nothing can follow; also after an error."""
        ...

    def take(self, position: int, token: int) -> None:
        """Move on by the answer's token at `position`; does nothing for one that was taken before."""
        ...

    def fill(self, address: int, nbytes: int) -> None:
        """Write one bit per token to this address, set where the token may come next."""
        ...

    def copy(self) -> "RowMatcher":
        """Return one that stands in the same place and goes its own way from here."""
        ...


class RowGrammar(Protocol):
    """Say what answers must look like; never changes, so requests may share it."""

    def start(self) -> RowMatcher:
        """Return a matcher at the beginning of an answer."""
        ...


class Matcher:
    """Follow one row's answer through its grammar.

    Nothing here raises: a step must not fail because of one of its rows. What went wrong is in `error`.
    """

    def __init__(self, inner: "LLMatcher", width: int) -> None:
        self._inner = inner
        self._taken = 0
        self.width = width
        """Bits of a mask; at least as many as the model has logits."""
        self.error: str | None = None
        self.over = False
        """Whether the answer is complete and nothing can follow; also after an error."""

    def take(self, position: int, token: int) -> None:
        """Move on by the answer's token at `position`; does nothing for one that was taken before."""
        if position < self._taken or self.over:
            return
        self._taken = position + 1
        self._inner.consume_token(token)
        self._look()

    def fill(self, address: int, nbytes: int) -> None:
        """Write one bit per token to this address, set where the token may come next."""
        self._inner.unsafe_compute_mask_ptr(address, nbytes)
        self._look()

    def copy(self) -> "Matcher":
        """Return one that stands in the same place and goes its own way from here."""
        twin = Matcher(self._inner.deep_copy(), self.width)
        twin._taken, twin.error, twin.over = self._taken, self.error, self.over
        return twin

    def _look(self) -> None:
        self.over = self._inner.is_stopped()
        if self.over and self._inner.is_error():
            self.error = readable(self._inner.get_error())


class CompiledGrammar:
    """Hold a grammar that can be enforced; never changes, so all requests share it."""

    def __init__(self, prototype: "LLMatcher", width: int) -> None:
        self._prototype = prototype
        self._width = width

    def start(self) -> Matcher:
        """Return a matcher at the beginning of an answer."""
        return Matcher(self._prototype.deep_copy(), self._width)


class Compiler:
    """Compile grammars for one model's vocabulary; used by one thread at a time."""

    def __init__(self, tokenizer: Any, vocab: int, ends: Collection[int]) -> None:
        self._tokenizer = tokenizer
        self._vocab = vocab
        self._ends = list(ends)
        self._words: LLTokenizer | None = None

    def prepare(self) -> None:
        """Index the vocabulary; takes a second for a large one and holds the interpreter meanwhile."""
        if self._words is None:
            self._words = _index(self._tokenizer, self._vocab, self._ends)

    def compile(self, text: str) -> CompiledGrammar:
        """Return a grammar (llguidance's JSON notation) ready for use; raises GrammarRefused."""
        from llguidance import LLMatcher, LLParserLimits

        self.prepare()
        assert self._words is not None
        limits = LLParserLimits(verbose_errors=False, step_max_items=STEP_ITEMS)
        try:
            prototype = LLMatcher(self._words, text, log_level=0, limits=limits)
            trial = prototype.deep_copy()
            # The first mask finds what the compiler does not: a grammar that nothing satisfies.
            trial.compute_bitmask()
        except BaseException as error:  # a panic of the library is no Exception
            _log.warning("llguidance: %s: %s", type(error).__name__, error)
            raise GrammarRefused(f"the grammar library failed: {error}") from error
        for matcher in (prototype, trial):
            if matcher.is_error():
                raise GrammarRefused(readable(matcher.get_error()))
        return CompiledGrammar(prototype, self._words.vocab_size)

    def refusal(self, text: str) -> str | None:
        """Return why a grammar can't be enforced, None where it can."""
        try:
            self.compile(text)
        except GrammarRefused as error:
            return str(error)
        return None


def special_tokens(tokenizer: Any) -> dict[str, int]:
    """Return the added tokens that count as no text, by what they look like.

    These are the ones the tokenizer calls special, and whatever looks like a tag.
    """
    core: Any = getattr(tokenizer, "backend_tokenizer", None)
    if not hasattr(core, "get_added_tokens_decoder"):
        return {}
    return {
        token.content: number
        for number, token in core.get_added_tokens_decoder().items()
        if token.special or (token.content.startswith("<") and token.content.endswith(">"))
    }


class _Vocabulary:
    """Show a tokenizer to llguidance: half the time and memory of giving it the tokenizer's file."""

    bos_token_id = None

    def __init__(self, core: Any, tokens: list[bytes], special: Collection[int], end: int) -> None:
        self._core = core
        self.tokens = tokens
        self.special_token_ids = list(special)
        self.eos_token_id = end

    def __call__(self, text: bytes) -> list[int]:
        """Return a text's tokens; asked for where the grammar leaves no choice of text, only of tokens."""
        ids: list[int] = self._core.encode(text.decode(), add_special_tokens=False).ids
        return ids


def _index(tokenizer: Any, vocab: int, ends: list[int]) -> "LLTokenizer":
    from llguidance import LLTokenizer, TokenizerWrapper

    pieces = pieces_of(tokenizer)
    core: Any = getattr(tokenizer, "backend_tokenizer", None)
    if pieces is None or core is None:
        raise GrammarRefused("not with this model: its tokenizer does not tell the bytes of tokens")
    width = max(vocab, len(pieces))
    if not ends:  # an id that no logit belongs to
        ends, width = [width], width + 1
    tokens = [pieces.bytes_of(token) for token in range(width)]
    words = _Vocabulary(core, tokens, special_tokens(tokenizer).values(), ends[0])
    try:
        return LLTokenizer(TokenizerWrapper(words), n_vocab=width, eos_token=ends)
    except BaseException as error:  # a panic of the library is no Exception
        _log.warning("llguidance cannot read the tokenizer: %s", error)
        raise GrammarRefused(
            f"not with this model: its tokenizer can't be read: {error}"
        ) from error
    finally:
        words.tokens = []


def readable(reason: str) -> str:
    """Return a message of the library on one line, without the lines of the grammar it quotes."""
    if reason.startswith("panic"):  # its counters are of 16 bits
        return "the grammar is too large"
    lines = [
        line.strip()
        for line in reason.replace("<non-verbose/>", "").splitlines()
        if not _EXCERPT.match(line)
    ]
    return "; ".join(line for line in lines if line)[:_LONGEST_REASON]
