"""Hold one row from its submission to its end, as the engine thread sees it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from mlxd.protocol.errors import MlxdError, WorkerDied
from mlxd.workers.engine import scheduler
from mlxd.workers.engine.grammar import RowMatcher
from mlxd.workers.engine.request import GenerateRequest, TokenOutput
from mlxd.workers.prompt_cache.checkpoints import Checkpoint
from mlxd.workers.prompt_cache.tiers import Restore


class SequenceState(StrEnum):
    """Where a row is; only the engine thread moves it."""

    WAITING = "waiting"
    PREFILL = "prefill"
    DECODE = "decode"


@dataclass(eq=False, slots=True)
class Sequence:
    """Own the tokens and counters of one row."""

    uid: int
    request: GenerateRequest
    limit: int
    """New tokens at most: what was asked for, or what the window leaves."""
    seed: int
    """First word of the row's random keys; the second is the position in the answer."""
    tokens: list[int] = field(default_factory=list)
    """The prompt, then what was generated and handed over."""
    state: SequenceState = SequenceState.WAITING
    prefilled: int = 0
    """Tokens in the row's cache, as far as it was read in slices."""
    cached: int = 0
    """Tokens of the prompt that were not read because their cache was there already."""
    sampled: int = 0
    """Tokens sampled, the one still on the device included."""
    cache: list[Any] | None = None
    """The row's own cache while its prompt is read in more than one slice."""
    stops: tuple[Checkpoint, ...] = ()
    """Where the reading must stop so that the state can be kept."""
    looked_up: bool = False
    """Whether it was asked what the disk knows of the prompt."""
    restore: Restore | None = None
    """What the row waits for: a state on its way from disk."""
    follows: "Sequence | None" = None
    """The row that reads the prompt they share; its cache will be this one's too."""
    end: int = 0
    """Length at which the answer ends whatever its last token is."""

    matcher: RowMatcher | None = None
    """Where the answer stands in its grammar; it has seen what `tokens` holds, so a row that is sent back keeps it."""

    def __post_init__(self) -> None:
        self.tokens = list(self.request.prompt)
        self.end = len(self.tokens) + self.limit
        if self.request.grammar is not None:
            self.matcher = self.request.grammar.start()

    @property
    def to_prefill(self) -> int:
        """Tokens still to be read before the row can go on; the last one is the decode step's first input."""
        if self.follows is not None:
            return 0
        return len(self.tokens) - 1 - self.prefilled

    @property
    def key(self) -> list[int]:
        """What the prompt cache knows the row's tokens by."""
        reading = self.request.reading
        return self.tokens if reading is None else [*reading.key, *self.tokens[len(reading.key) :]]

    @property
    def answered(self) -> int:
        """Tokens of the answer that were handed over."""
        return len(self.tokens) - len(self.request.prompt)

    @property
    def fed(self) -> int:
        """Tokens in the batch's cache while the row generates: each step that samples a token feeds one."""
        return len(self.request.prompt) - 1 + self.sampled

    def take(self, token: int) -> str | None:
        """Add a token to the answer; returns why its grammar can't go on, None where it can."""
        if self.matcher is not None:
            self.matcher.take(self.answered, token)
            if self.matcher.error is not None:
                return self.matcher.error
        self.tokens.append(token)
        return None

    def start_over(self) -> None:
        """Forget the cache; what was handed over stays, and the random keys go on where they were."""
        self.state = SequenceState.WAITING
        self.cache, self.prefilled, self.follows = None, 0, None
        self.stops, self.looked_up, self.restore = (), False, None
        self.sampled = self.answered


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """Carry one row's news of one step to the HTTP thread; an error or a finish reason ends the row."""

    uid: int
    outputs: tuple[TokenOutput, ...] = ()
    error: MlxdError | None = None
    cached_tokens: int = 0

    @property
    def is_last(self) -> bool:
        """Whether the row is over with this."""
        return self.error is not None or any(output.finish_reason for output in self.outputs)


def views(rows: Iterable[Sequence], bounds: scheduler.Bounds) -> tuple[scheduler.RowView, ...]:
    """Return what planning needs of each row."""
    return tuple(
        scheduler.RowView(
            row.uid,
            row.to_prefill,
            scheduler.expected_length(len(row.request.prompt), row.limit, len(row.tokens), bounds),
        )
        for row in rows
    )


def as_answer(error: Exception) -> MlxdError:
    """Return what a row's caller is told of an error."""
    if isinstance(error, MlxdError):
        return error
    return WorkerDied(f"the model failed on this request: {error}")
