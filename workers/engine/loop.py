"""Run the batch: take the inbox, let rows join, step, hand over. Owns the engine thread and all that MLX made on it."""

import logging
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import mlx.core as mx

from mlxd.protocol.errors import MlxdError, WorkerDied
from mlxd.protocol.exit_codes import ExitCode
from mlxd.workers.engine import batch as batches
from mlxd.workers.engine import scheduler
from mlxd.workers.engine.inbox import Cancel, Inbox, Leave, Message, Submit
from mlxd.workers.engine.request import FinishReason, TokenOutput
from mlxd.workers.engine.sampling import fold_seed
from mlxd.workers.engine.sequence import Delivery, Sequence, SequenceState
from mlxd.workers.engine.stats import Board, Counters

log = logging.getLogger(__name__)

REST_SECONDS = 2.0
"""How long the loop is idle before it gives freed buffers back to the system."""
CLEAR_STEPS = 512
"""Steps between two such moments under load: lengths change all the time, and so do the buffers they need."""
CLEAR_TOKENS = 256
"""The same after reading so many prompt tokens at once."""
FAILURES = 3
"""Steps that fail one after the other before the process is given up."""


@dataclass(frozen=True, slots=True)
class Lane:
    """What the loop needs to know of a model."""

    model: batches.Model
    vocab: int
    """Width of the logits."""
    context_length: int
    eos_token_ids: frozenset[int]
    bounds: scheduler.Bounds


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where the loop's news go."""

    publish: Callable[[list[Delivery]], None]
    """Takes all rows' tokens of a step at once."""
    beat: Callable[[int, int], None] = lambda steps, rows: None
    """Told after each step how many there were and how many rows there are."""
    broken: Callable[[Exception], bool] = lambda error: False
    """Tells an error after which the device cannot be used any more."""


class EngineLoop:
    """Own all rows between submission and end; every method runs on the engine thread."""

    def __init__(self, lane: Lane, inbox: Inbox, board: Board, outlets: Outlets) -> None:
        self._lane = lane
        self._inbox = inbox
        self._board = board
        self._outlets = outlets
        self._waiting: dict[int, Sequence] = {}
        self._prefilling: dict[int, Sequence] = {}
        self._batch = batches.DecodeBatch(lane.model, lane.vocab)
        self._one_by_one: set[int] = set()
        """Rows that may not be read side by side: begun, or part of a group that failed."""
        self._outbox: list[Delivery] = []
        self._pace: float | None = None
        """Prompt tokens per second."""
        self._failures = 0
        self._leave: Leave | None = None
        self.counters = Counters(max_batch=lane.bounds.max_batch)

    @property
    def rows(self) -> int:
        """Rows that wait, are read or generate."""
        return len(self._waiting) + len(self._prefilling) + len(self._batch)

    def run(self) -> Leave:
        """Work until told to leave; while there is nothing to do, wait for a message."""
        while self._leave is None:
            if self.rows:
                self.step()
            else:
                self._rest()
        for row in (*self._waiting.values(), *self._prefilling.values(), *self._batch.rows):
            self._outbox.append(Delivery(row.uid, error=self._leave.error))
        self._hand_over()
        return self._leave

    def _rest(self) -> None:
        self._outlets.beat(self.counters.steps, 0)
        self._show(full=True)
        messages = self._inbox.wait(REST_SECONDS)
        if not messages:
            mx.clear_cache()
            self._show(full=True)
            messages = self._inbox.wait()
        self._take(messages)

    def step(self) -> None:
        """Take what came in, start a token for every row, hand over the last ones, read a slice of prompts."""
        self._take(self._inbox.take())
        if self._leave is not None:
            return
        plan = self._plan()
        for row in tuple(self._waiting.values())[: plan.admit]:
            self._admit(row)
        if len(self._batch):
            self._decode()
            self._hand_over()
        for piece in plan.slices:
            self._read([self._prefilling[uid] for uid in piece.uids], piece.tokens)
        self.counters.steps += 1
        if self.counters.steps % CLEAR_STEPS == 0:
            mx.clear_cache()
        self._hand_over()
        self._show()
        self._outlets.beat(self.counters.steps, self.rows)

    def _take(self, messages: Iterable[Message]) -> None:
        for message in messages:
            match message:
                case Submit(uid, request):
                    left = self._lane.context_length - len(request.prompt)
                    seed = request.sampling.seed
                    words = fold_seed(random.getrandbits(32) if seed is None else seed)
                    row = Sequence(uid, request, min(request.max_tokens, left), words)
                    self._waiting[uid] = row
                case Cancel(uid):
                    self.counters.cancelled += self._drop(uid)
                case Leave():
                    self._leave = self._leave or message

    def _drop(self, uid: int) -> bool:
        """Forget a row wherever it is; tell whether it was anywhere."""
        self._one_by_one.discard(uid)
        if self._waiting.pop(uid, None) or self._prefilling.pop(uid, None):
            return True
        return self._batch.remove({uid})

    def _plan(self) -> scheduler.Plan:
        if not self._waiting and not self._prefilling:
            return scheduler.Plan()
        queues = scheduler.Queues(
            waiting=_views(self._waiting.values()),
            prefilling=_views(self._prefilling.values()),
            decoding=_views(self._batch.rows),
            started=frozenset(self._one_by_one),
        )
        return scheduler.plan(queues, self._lane.bounds, self._pace)

    def _admit(self, row: Sequence) -> None:
        del self._waiting[row.uid]
        row.state = SequenceState.PREFILL
        if row.to_prefill:
            self._prefilling[row.uid] = row
        else:
            self._join([row], batches.new_cache(self._lane.model), merged=False)

    def _decode(self) -> None:
        try:
            sampled = self._batch.step()
        except Exception as error:
            self._batch_failed(error)
            return
        self._failures = 0
        ended = set()
        for token in sampled:
            reason = self._accept(token)
            output = TokenOutput(
                token.token, reason, token.details.logprob, token.details.top_logprobs
            )
            self._outbox.append(Delivery(token.row.uid, (output,)))
            if reason is not None:
                ended.add(token.row.uid)
        self.counters.count_generated(len(sampled), len(ended), time.monotonic())
        if ended:
            self._batch.remove(ended)

    def _accept(self, sampled: batches.Sampled) -> FinishReason | None:
        row = sampled.row
        row.tokens.append(sampled.token)
        if sampled.token in self._lane.eos_token_ids and not row.request.ignore_eos:
            return FinishReason.STOP
        return FinishReason.LENGTH if row.generated >= row.limit else None

    def _read(self, rows: list[Sequence], tokens: int) -> None:
        """Read a slice of prompts; rows that are read to the end join the batch."""
        begun = time.perf_counter()
        before = sum(row.prefilled for row in rows)
        cache = None
        try:
            if len(rows) > 1:
                cache = batches.read_side_by_side(self._lane.model, rows)
            else:
                batches.read_slice(self._lane.model, rows[0], tokens)
                self._one_by_one.add(rows[0].uid)
        except Exception as error:
            self._read_failed(rows, error)
            return
        read = sum(row.prefilled for row in rows) - before
        self._keep_pace(read / max(time.perf_counter() - begun, 1e-6))
        self.counters.prompt_tokens += read
        if tokens * len(rows) >= CLEAR_TOKENS:
            mx.clear_cache()
        if cache is not None:
            self._join(rows, cache, merged=True)
        elif not rows[0].to_prefill:
            own, rows[0].cache = rows[0].cache, None
            self._join(rows, own or [], merged=False)

    def _keep_pace(self, tokens_per_second: float) -> None:
        pace = self._pace
        self._pace = tokens_per_second if pace is None else (pace + tokens_per_second) / 2

    def _join(self, rows: list[Sequence], cache: list[object], *, merged: bool) -> None:
        for row in rows:
            self._prefilling.pop(row.uid, None)
            self._one_by_one.discard(row.uid)
            row.state = SequenceState.DECODE
        try:
            self._batch.join(rows, cache, merged=merged)
        except Exception as error:
            for row in rows:
                self._fail(row, error)
            self._batch_failed(error)

    def _read_failed(self, rows: list[Sequence], error: Exception) -> None:
        """Fail the row whose prompt cannot be read; of several, find out which by reading each alone."""
        log.exception("reading a prompt failed rows=%d", len(rows))
        for row in rows:
            if len(rows) > 1:
                row.prefilled, row.cache = 0, None
                self._one_by_one.add(row.uid)
            else:
                self._prefilling.pop(row.uid)
                self._one_by_one.discard(row.uid)
                self._fail(row, error)
        self._give_up_if_broken(error)

    def _batch_failed(self, error: Exception) -> None:
        """Fail all rows of the batch, whose cache is in doubt now, and begin a new one."""
        log.exception("a step failed rows=%d", len(self._batch))
        for row in self._batch.rows:
            self._fail(row, error)
        self._batch = batches.DecodeBatch(self._lane.model, self._lane.vocab)
        self._failures += 1
        self._give_up_if_broken(error)

    def _give_up_if_broken(self, error: Exception) -> None:
        if self._outlets.broken(error) or self._failures >= FAILURES:
            gone = WorkerDied(f"the model stopped working: {error}")
            self._leave = self._leave or Leave(ExitCode.POISONED, gone)

    def _fail(self, row: Sequence, error: Exception) -> None:
        self.counters.failed += 1
        self._outbox.append(Delivery(row.uid, error=_as_answer(error)))

    def _hand_over(self) -> None:
        if self._outbox:
            news, self._outbox = self._outbox, []
            self._outlets.publish(news)

    def _show(self, *, full: bool = False) -> None:
        counters, now = self.counters, time.monotonic()
        counters.waiting, counters.prefill = len(self._waiting), len(self._prefilling)
        counters.decode = len(self._batch)
        if full or counters.memory_is_old(now):
            own = sum(batches.cache_bytes(row.cache or ()) for row in self._prefilling.values())
            counters.cache_bytes = self._batch.nbytes + own
            counters.active_memory_bytes = mx.get_active_memory()
            counters.cache_memory_bytes = mx.get_cache_memory()
            counters.peak_memory_bytes = mx.get_peak_memory()
        self._board.publish(counters.snapshot(), counters.speed)


def _views(rows: Iterable[Sequence]) -> tuple[scheduler.RowView, ...]:
    return tuple(
        scheduler.RowView(
            row.uid,
            row.to_prefill,
            max(len(row.tokens), scheduler.expected_length(len(row.request.prompt), row.limit)),
        )
        for row in rows
    )


def _as_answer(error: Exception) -> MlxdError:
    if isinstance(error, MlxdError):
        return error
    return WorkerDied(f"the model failed on this request: {error}")
