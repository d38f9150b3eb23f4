"""Run the batch: take the inbox, let rows join, step, hand over. Owns the engine thread and all that MLX made on it."""

import logging
import random
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import mlx.core as mx

from mlxd.protocol.errors import InternalError, WorkerDied
from mlxd.protocol.exit_codes import ExitCode
from mlxd.workers.engine import batch as batches
from mlxd.workers.engine import scheduler, siblings
from mlxd.workers.engine.inbox import Cancel, Do, Inbox, Leave, Limit, Message, Shrink, Submit
from mlxd.workers.engine.lane import Lane, Outlets
from mlxd.workers.engine.prompts import PromptFailed, Prompts, ReadPrompts
from mlxd.workers.engine.request import FinishReason, TokenOutput
from mlxd.workers.engine.reuse import Reuse
from mlxd.workers.engine.sampling import fold_seed
from mlxd.workers.engine.sequence import Delivery, Sequence, SequenceState, as_answer, views
from mlxd.workers.engine.speculation import Speculation
from mlxd.workers.engine.stats import Board, Counters

log = logging.getLogger(__name__)

REST_SECONDS = 2.0
"""How long the loop is idle before it gives freed buffers back to the system."""
CLEAR_STEPS = 512
"""Steps between two such moments under load: lengths change all the time, and so do the buffers they need."""
FAILURES = 3
"""Steps that fail one after the other before the process is given up."""


class EngineLoop:
    """Own all rows between submission and end; every method runs on the engine thread."""

    def __init__(
        self, lane: Lane, inbox: Inbox, board: Board, outlets: Outlets, reuse: Reuse | None = None
    ) -> None:
        self._lane = lane
        self._inbox = inbox
        self._board = board
        self._outlets = outlets
        self._waiting: dict[int, Sequence] = {}
        self._reuse = reuse or Reuse()
        self._prompts = Prompts(lane.model, self._reuse)
        self._batch = batches.DecodeBatch(lane.model, lane.vocab)
        self._speculation = lane.speculation or Speculation(lane.model, lane.vocab)
        self._outbox: list[Delivery] = []
        self._thread = threading.get_ident()
        self._failures = 0
        self._leave: Leave | None = None
        self.counters = Counters(max_batch=lane.bounds.max_batch)

    @property
    def rows(self) -> int:
        """Rows that wait, are read or generate."""
        return len(self._waiting) + len(self._prompts.rows) + len(self._batch)

    def run(self) -> Leave:
        """Work until told to leave; while there is nothing to do, wait for a message."""
        while self._leave is None:
            if self.rows:
                self.step()
            else:
                self._rest()
        for row in (*self._waiting.values(), *self._running()):
            self._outbox.append(Delivery(row.uid, error=self._leave.error))
        self._hand_over()
        if self._leave.code is ExitCode.OK:
            self._reuse.finish()
        return self._leave

    def _rest(self) -> None:
        self._outlets.beat(self.counters.steps, 0)
        self._show(full=True)
        messages = self._inbox.wait(REST_SECONDS)
        if not messages:
            while not messages and not self._reuse.rest():
                messages = self._inbox.take()
            mx.clear_cache()
            self._show(full=True)
            messages = messages or self._inbox.wait()
        self._take(messages)

    def step(self) -> None:
        """Take what came in, start a token for every row, hand over the last ones, read a slice of prompts."""
        assert threading.get_ident() == self._thread, "MLX's arrays belong to one thread"
        self._take(self._inbox.take())
        if self._leave is not None:
            return
        waiting = self._ready()
        plan = self._plan(waiting)
        self._preempt(plan.preempt)
        for row in waiting[: plan.admit]:
            del self._waiting[row.uid]
            if not self._prompts.follow(row):
                self._reuse.begin(row)
                siblings.borrow(row, self._batch)
                self._join(self._prompts.add(row))
        # What was known of a prompt need not be read.
        slices = self._plan([]).slices if plan.admit else plan.slices
        if len(self._batch):
            self._decode()
            self._hand_over()
        for piece in slices:
            self._read(piece)
        self._reuse.write()
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
                case Limit(memory, cache):
                    room = self._outlets.limit(memory, cache)
                    bounds = replace(self._lane.bounds, cache_budget=self._reuse.resize(room))
                    self._lane = replace(self._lane, bounds=bounds)
                case Shrink():
                    self._reuse.shrink(busy=self.rows > 0)
                    self._speculation.forget()
                    mx.clear_cache()
                    self._show(full=True)
                case Do():
                    raise AssertionError("jobs belong to models that generate no text")

    def _drop(self, uid: int) -> bool:
        """Forget a row wherever it is; tell whether it was anywhere."""
        waited = self._waiting.pop(uid, None) is not None
        return waited or self._prompts.leave(uid) or self._release({uid})

    def _release(self, uids: set[int]) -> bool:
        """Take rows out of the batch, whose state may be of use to others."""
        for row in self._batch.rows:
            if row.uid in uids:
                self._batch.take_back(row)
                self._reuse.leave_batch(row, partial(self._batch.extract, row))
        return self._batch.remove(uids)

    def _ready(self) -> list[Sequence]:
        running = len(self._prompts.rows) + len(self._batch)
        free = self._lane.bounds.max_batch - running
        return self._reuse.ready(self._waiting.values(), free, others_run=running > 0)

    def _running(self) -> tuple[Sequence, ...]:
        return (*self._prompts.rows.values(), *self._batch.rows)

    def _plan(self, waiting: list[Sequence]) -> scheduler.Plan:
        bounds = self._lane.bounds
        if not waiting and not self._prompts.rows:
            longest = max((len(row.tokens) for row in self._batch.rows), default=0) + 1
            if not scheduler.is_overgrown(len(self._batch), longest, bounds):
                return scheduler.Plan()
        queues = scheduler.Queues(
            waiting=views(waiting, bounds),
            prefilling=views(self._prompts.rows.values(), bounds),
            decoding=views(self._batch.rows, bounds),
            started=self._prompts.alone,
        )
        return scheduler.plan(queues, bounds, self._prompts.pace)

    def _preempt(self, uids: tuple[int, ...]) -> None:
        """Send rows back to the head of the queue, the oldest of them first."""
        if not uids:
            return
        rows = sorted((row for row in self._running() if row.uid in uids), key=lambda row: row.uid)
        log.info("no room for all rows to grow, sending back rows=%d", len(rows))
        for row in rows:
            self._drop(row.uid)
            row.start_over()
        self._waiting = {row.uid: row for row in rows} | self._waiting
        self.counters.preempted += len(rows)

    def _decode(self) -> None:
        try:
            news = self._speculation.step(self._batch, self._lane.bounds)
            if news is None:
                news = self._batch.step()
        except Exception as error:
            self._batch_failed(error)
            return
        self._failures = 0
        failed = self.counters.failed
        ended: set[int] = set()
        taken = 0
        for sampled in news:
            if sampled.row.uid not in ended:  # what was guessed beyond a row's end is nobody's
                taken += 1
                ended |= {sampled.row.uid} if self._accept(sampled) else set()
        finished = len(ended) - (self.counters.failed - failed)
        self.counters.count_generated(taken, finished, time.monotonic())
        if ended:
            self._release(ended)

    def _accept(self, sampled: batches.Sampled) -> bool:
        """Take a row's token; tell whether it ends the row."""
        row, token, details = sampled.row, sampled.token, sampled.details
        if (stuck := row.take(token)) is not None:
            self._fail(row, InternalError(f"the grammar can't go on: {stuck}"))
            return True
        reason = self._end(row, token)
        output = TokenOutput(token, reason, details.logprob, details.top_logprobs)
        self._outbox.append(Delivery(row.uid, (output,), cached_tokens=row.cached))
        return reason is not None

    def _end(self, row: Sequence, token: int) -> FinishReason | None:
        """Return why the row ends with this token, None where it goes on."""
        goes_on = row.request.ignore_eos and row.matcher is None
        if token in self._lane.eos_token_ids and not goes_on:
            return FinishReason.STOP
        if row.matcher is not None and row.matcher.over:
            return FinishReason.COMPLETE
        return FinishReason.LENGTH if len(row.tokens) >= row.end else None

    def _read(self, piece: scheduler.Slice) -> None:
        try:
            self._join(self._prompts.read(piece))
        except PromptFailed as failed:
            log.error("reading a prompt failed", exc_info=failed.error)
            self._fail(failed.row, failed.error)
            self._give_up_if_broken(failed.error)

    def _join(self, ready: ReadPrompts | None) -> None:
        if ready is None:
            return
        for row in ready.rows:
            row.state = SequenceState.DECODE
        try:
            self._batch.join(ready.rows, ready.cache, merged=ready.merged)
        except Exception as error:
            for row in ready.rows:
                self._fail(row, error)
            self._batch_failed(error)

    def _batch_failed(self, error: Exception) -> None:
        """Fail all rows of the batch, whose cache is in doubt now, and begin a new one."""
        log.exception("a step failed rows=%d", len(self._batch))
        for row in self._batch.rows:
            self._fail(row, error)
        self._batch = batches.DecodeBatch(self._lane.model, self._lane.vocab)
        self._speculation.forget()
        self._failures += 1
        self._give_up_if_broken(error)

    def _give_up_if_broken(self, error: Exception) -> None:
        if self._outlets.broken(error) or self._failures >= FAILURES:
            gone = WorkerDied(f"the model stopped working: {error}")
            self._leave = self._leave or Leave(ExitCode.POISONED, gone)
            # Now, for rows hear of it next: whoever passes on their words knows then that another worker may answer.
            self._outlets.gone(self._leave)

    def _fail(self, row: Sequence, error: Exception) -> None:
        self.counters.failed += 1
        self._outbox.append(Delivery(row.uid, error=as_answer(error)))

    def _hand_over(self) -> None:
        if self._outbox:
            news, self._outbox = self._outbox, []
            if any(item.is_last for item in news):
                self._show(full=True)  # whoever has an answer finds it counted
            self._outlets.publish(news)

    def _show(self, *, full: bool = False) -> None:
        counters, now = self.counters, time.monotonic()
        counters.waiting, counters.prefill = len(self._waiting), len(self._prompts.rows)
        counters.decode = len(self._batch)
        counters.prompt_tokens = self._prompts.tokens_read
        counters.show_speculation(self._speculation.speculated, self._speculation.accepted)
        if full or counters.memory_is_old(now):
            counters.cache_bytes = self._batch.nbytes + self._prompts.nbytes
            counters.cache_bytes += self._speculation.nbytes
            counters.show_prompt_cache(self._reuse.stats())
            counters.active_memory_bytes = mx.get_active_memory()
            counters.cache_memory_bytes = mx.get_cache_memory()
            counters.peak_memory_bytes = mx.get_peak_memory()
        self._board.publish(counters.snapshot(), counters.speed)
