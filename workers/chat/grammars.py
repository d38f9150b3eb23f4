"""Compile what requests demand, beside the engine thread and the event loop; known grammars are kept."""

import asyncio
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from mlxd.protocol.errors import InvalidRequest
from mlxd.workers.chat import demand
from mlxd.workers.chat.formats import AnswerFormat
from mlxd.workers.chat.lark import Demand
from mlxd.workers.chat.request import ChatRequest, Controls
from mlxd.workers.chat.want import Thinking
from mlxd.workers.engine.grammar import CompiledGrammar, Compiler, GrammarRefused, special_tokens
from mlxd.workers.model import TextModel

_log = logging.getLogger(__name__)

KEPT = 128
"""Compiled grammars that are kept; the least recently used goes first."""
LONGEST = 1 << 20
"""Characters of a grammar that are compiled."""
_STACK = 512 << 20
"""Address space for the thread's stack: llguidance recurses once per definition, and an overflow ends the process."""


class Grammars:
    """Hold one model's grammars.

    A thread of its own does all the work: the first grammar of a model waits for an index of its vocabulary, which
    takes up to a second, and nobody who asks for plain text may wait with it.
    """

    def __init__(self, model: TextModel, format: AnswerFormat) -> None:
        self._format = format
        self._specials = special_tokens(model.tokenizer)
        self._compiler = Compiler(model.tokenizer, model.vocab_size, model.eos_token_ids)
        self._kept: OrderedDict[str, CompiledGrammar] = OrderedDict()
        self._executor = _executor()

    async def of_chat(self, request: ChatRequest, thinking: Thinking) -> CompiledGrammar | None:
        """Return what the answer must follow, None where any will do; raises CallerError naming the field."""
        if demand.is_free(request):
            return None
        return await self._run(
            lambda: demand.of_chat(request, thinking, self._format, self._specials)
        )

    async def of_completion(self, controls: Controls) -> CompiledGrammar | None:
        """Return what a continuation must follow, None where any will do; raises InvalidRequest."""
        output = controls.output
        if output is None:
            return None
        return await self._run(lambda: demand.of_completion(output, self._specials))

    def prepare(self) -> None:
        """Index the vocabulary ahead of the first grammar; returns at once."""
        self._executor.submit(self._prepare)

    def close(self) -> None:
        """Let the thread go."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _prepare(self) -> None:
        try:
            self._compiler.prepare()
        except GrammarRefused as error:
            _log.info("structured output: %s", error)

    async def _run(self, write: Callable[[], Demand]) -> CompiledGrammar:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._executor, lambda: self._compiled(write()))
        except RecursionError:
            raise InvalidRequest("a schema is nested too deeply to be enforced") from None

    def _compiled(self, asked: Demand) -> CompiledGrammar:
        text = asked.text()
        if len(text) > LONGEST:
            raise demand.refusal(asked.field, f"it is longer than {LONGEST} characters")
        known = self._kept.get(text)
        if known is None:
            known = self._kept[text] = self._compile(asked)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(text)
        return known

    def _compile(self, asked: Demand) -> CompiledGrammar:
        """Compile; parts that can't be enforced fall back where they may."""
        try:
            return self._compiler.compile(asked.text())
        except GrammarRefused as error:
            whole = error
        falling_back = set()
        for part in asked.parts:
            reason = self._compiler.refusal(part.alone())
            if reason is None:
                continue
            if part.fallback is None:
                raise demand.refusal(part.field, reason) from None
            falling_back.add(part.name)
        if not falling_back:
            raise demand.refusal(asked.field, str(whole)) from None
        return self._last_try(asked, frozenset(falling_back))

    def _last_try(self, asked: Demand, falling_back: frozenset[str]) -> CompiledGrammar:
        try:
            return self._compiler.compile(asked.text(falling_back))
        except GrammarRefused as error:
            raise demand.refusal(asked.field, str(error)) from None


def _executor() -> ThreadPoolExecutor:
    """Return a thread with a deep stack."""
    usual = threading.stack_size(_STACK)
    try:
        executor = ThreadPoolExecutor(1, thread_name_prefix="mlxd-grammar")
        executor.submit(int)  # starts the thread
    finally:
        threading.stack_size(usual)
    return executor
