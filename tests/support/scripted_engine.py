"""Play the engine thread's part from a script: real hand-over, real cancelling, chosen tokens."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from mlxd.protocol.errors import MlxdError
from mlxd.protocol.exit_codes import ExitCode
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers.engine.handle import Engine
from mlxd.workers.engine.inbox import Cancel, Inbox, Leave, Submit
from mlxd.workers.engine.request import FinishReason, GenerateRequest, TokenOutput
from mlxd.workers.engine.sequence import Delivery
from mlxd.workers.engine.stats import BatchStats, Board, Speed
from mlxd.workers.engine.validate import Window
from mlxd.workers.model import TextModel

Answer = Callable[[GenerateRequest], Sequence[int] | MlxdError]
"""What to generate for a request, without the token that ends it; an error comes after the tokens so far."""


class ScriptedEngine:
    """Answer every row with the tokens `answer` gives, one per step while `gate` is set."""

    def __init__(
        self, tokenizer: Any, answer: Answer, *, context: int = 4096, rows: int = 64
    ) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.steps_left = 0
        """Steps to take although the gate is shut."""
        self.seen: list[GenerateRequest] = []
        self.cancelled: set[int] = set()
        self.fail_after: tuple[int, MlxdError] | None = None
        """Fail each row with this error after so many tokens."""
        self.tokenizer = tokenizer
        self._answer = answer
        self._inbox = Inbox()
        self._board = Board(rows)
        self._rows: dict[int, tuple[GenerateRequest, list[int], int]] = {}
        self.engine = Engine(
            self._inbox, self._board, Window(len(tokenizer), context), capacity=rows
        )
        self.model = TextModel(
            spec=WorkerSpec(model_id="the-model", kind=ModelKind.TEXT, path="", socket=""),
            tokenizer=tokenizer,
            vocab_size=len(tokenizer),
            context_length=context,
            weights_bytes=0,
            eos_token_ids=frozenset(tokenizer.eos_token_ids),
        )
        self._eos = min(tokenizer.eos_token_ids)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def says(self, text: str) -> None:
        """Answer every request from now on with this text."""
        tokens = self.tokenizer.encode(text, add_special_tokens=False)
        self._answer = lambda request: tokens

    def stop(self) -> None:
        """End the thread."""
        self.gate.set()
        self._inbox.put(Leave(ExitCode.OK, MlxdError("over")))
        self._thread.join()

    @property
    def live(self) -> int:
        """Rows that wait or generate."""
        return self.engine.stats().decode

    def _run(self) -> None:
        while True:
            busy = bool(self._rows) and (self.gate.is_set() or self.steps_left > 0)
            for message in self._inbox.take() if busy else self._inbox.wait(0.01):
                match message:
                    case Submit(uid, request):
                        self.seen.append(request)
                        self._begin(uid, request)
                    case Cancel(uid):
                        self.cancelled.add(uid)
                        self._rows.pop(uid, None)
                    case Leave():
                        return
            if self.gate.is_set():
                self._step()
            elif self.steps_left > 0 and self._rows:
                self._step()
                self.steps_left -= 1
            self._board.publish(BatchStats(decode=len(self._rows)), Speed())

    def _begin(self, uid: int, request: GenerateRequest) -> None:
        answer = self._answer(request)
        if isinstance(answer, MlxdError):
            self.engine.publish([Delivery(uid, error=answer)])
        else:
            self._rows[uid] = (request, list(answer), 0)

    def _step(self) -> None:
        news = [self._next(uid) for uid in tuple(self._rows)]
        if news:
            self.engine.publish(news)

    def _next(self, uid: int) -> Delivery:
        request, tokens, done = self._rows.pop(uid)
        if self.fail_after is not None and done >= self.fail_after[0]:
            return Delivery(uid, error=self.fail_after[1])
        token = tokens[done] if done < len(tokens) else self._eos
        reason = None
        if done >= len(tokens):
            reason = FinishReason.STOP
        elif done + 1 >= request.max_tokens:
            reason = FinishReason.LENGTH
        else:
            self._rows[uid] = (request, tokens, done + 1)
        wants = request.logprobs is not None
        top = tuple((token + rank, -1.0 - rank) for rank in range(request.logprobs or 0))
        output = TokenOutput(token, reason, -0.5 if wants else None, top)
        return Delivery(uid, (output,), cached_tokens=min(3, len(request.prompt) - 1))
