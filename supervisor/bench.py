"""Measure a served model through the running daemon, as its clients meet it.

Every prompt begins with words that nobody has sent before, so that nothing of it is remembered. The measurements of
a round follow each other, so that whatever else the machine does falls on all of them.
"""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from mlxd.protocol.kinds import ModelKind
from mlxd.supervisor.bench_figures import Findings, Samples, Timed, together
from mlxd.supervisor.client import AsyncClient

WRITES = (ModelKind.TEXT, ModelKind.VISION)
MEASURED = (*WRITES, ModelKind.EMBEDDING)
"""Kinds that can be measured."""

_WORDS = (
    "the quick brown fox jumps over a lazy dog while rain falls on Paris and somebody asks what weather comes next "
    "answer as well as you can step by step please think about it first"
).split()
_TRIAL_WORDS = 64
_SHORT_WORDS = 16
_FIRST_TOKENS = 16
"""The first tokens of a thinking model have no text, so the first text needs a few."""
_TEXTS = 32
"""Texts in one request for vectors."""
_TEXT_WORDS = 48
_MOST_TOKENS_PER_WORD = 4
_PROMPT_SHARE, _ANSWER_SHARE = 2, 4
"""One part in so many of a small window is the most that a prompt and an answer take unless somebody insists."""
_PROMPT, _ANSWER = 512, 128

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Say what to measure, and how often."""

    model: str
    kind: ModelKind
    runs: int
    streams: int
    prompt_tokens: int
    max_tokens: int


def lengths(window: int | None, prompt: int | None, answer: int | None) -> tuple[int, int]:
    """Return the tokens of prompt and answer: as asked for, else what fits well into the window."""
    room = window or _PROMPT_SHARE * _PROMPT
    return (
        prompt or max(1, min(_PROMPT, room // _PROMPT_SHARE)),
        answer or max(2, min(_ANSWER, room // _ANSWER_SHARE)),
    )


class Bench:
    """Ask one daemon about one model."""

    def __init__(self, client: AsyncClient, plan: Plan, tell: Tell = lambda text: None) -> None:
        self._client = client
        self._plan = plan
        self._tell = tell
        self._chance = random.Random()  # seeded by the system: no prompt comes twice
        self._samples = Samples()
        self._tokens_per_word = 1.0
        self._text_words = max(1, min(_TEXT_WORDS, plan.prompt_tokens // _MOST_TOKENS_PER_WORD))

    async def run(self) -> Findings:
        """Warm up, measure, and return what was found; raises DaemonError."""
        plan = self._plan
        self._tell(f"loading {plan.model}")
        loaded = await self._client.load(plan.model)
        others = await self._others()
        writes = plan.kind in WRITES
        self._tell("warming up")
        await (self._warm_up() if writes else self._vectors(1))
        for number in range(1, plan.runs + 1):
            self._tell(f"run {number} of {plan.runs}")
            await (self._write() if writes else self._embed())
        conditions = {"prompt_tokens": plan.prompt_tokens, "max_tokens": plan.max_tokens,
                      "streams": plan.streams}  # fmt: skip
        return Findings(
            model=plan.model,
            kind=plan.kind,
            runs=plan.runs,
            conditions=conditions if writes else {"texts": _TEXTS, "words": self._text_words},
            load_seconds=loaded.load_seconds,
            figures=self._samples.figures(),
            notes=[*others, *await self._others()][:1],
        )

    async def _others(self) -> list[str]:
        """Say whether somebody else uses the machine, while nothing of ours runs."""
        busy = [m.id for m in (await self._client.ps()).models if m.active_requests]
        return [f"others used {', '.join(busy)} meanwhile"] if busy else []

    async def _warm_up(self) -> None:
        """Have everything compiled and allocated that comes only once, and learn how long words are."""
        short = await self._ask(_SHORT_WORDS, 2)
        long = await self._ask(_SHORT_WORDS + _TRIAL_WORDS, 2)
        self._tokens_per_word = max(0.2, (long.prompt - short.prompt) / _TRIAL_WORDS)
        await asyncio.gather(*(self._ask(_SHORT_WORDS, 8) for _ in range(self._plan.streams)))

    async def _write(self) -> None:
        plan, add = self._plan, self._samples.add
        cold = await self._ask(self._words(plan.prompt_tokens), _FIRST_TOKENS)
        add("time to first token", "s", cold.first_token_seconds)
        add("reading the prompt", "tokens/s", cold.prompt_speed)
        alone = await self._ask(_SHORT_WORDS, plan.max_tokens)
        add("writing, 1 stream", "tokens/s", alone.speed)
        if plan.streams < 2:
            return
        asked = (self._ask(_SHORT_WORDS, plan.max_tokens) for _ in range(plan.streams))
        answers = await asyncio.gather(*asked)
        add(f"writing, {plan.streams} streams together", "tokens/s", together(answers))
        for one in answers:
            add(f"writing, each of {plan.streams}", "tokens/s", one.speed)

    def _words(self, tokens: int) -> int:
        return max(1, round(tokens / self._tokens_per_word))

    async def _ask(self, words: int, tokens: int) -> Timed:
        """Have one answer streamed, with nothing of the prompt remembered."""
        body = {
            "model": self._plan.model,
            "messages": [{"role": "user", "content": self._text(words)}],
            "max_tokens": tokens,
            "temperature": 0,
            "ignore_eos": True,
            "stream_options": {"include_usage": True},
        }
        timed = Timed(time.perf_counter())
        async for chunk in self._client.stream("/v1/chat/completions", body):
            if choices := chunk.get("choices"):
                says = any(_says_something(choice.get("delta", {})) for choice in choices)
                timed.heard(time.perf_counter(), is_text=says)
            if usage := chunk.get("usage"):
                timed.prompt, timed.generated = usage["prompt_tokens"], usage["completion_tokens"]
                timed.cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        return timed

    async def _embed(self) -> None:
        seconds, _ = await self._vectors(1)
        self._samples.add("one text", "s", seconds)
        seconds, tokens = await self._vectors(_TEXTS)
        self._samples.add("texts", "texts/s", _TEXTS / seconds)
        self._samples.add("tokens", "tokens/s", tokens / seconds)

    async def _vectors(self, count: int) -> tuple[float, int]:
        texts = [self._text(self._text_words) for _ in range(count)]
        began = time.perf_counter()
        body = {"model": self._plan.model, "input": texts}
        answer = await self._client.post("/v1/embeddings", body)
        return time.perf_counter() - began, int(answer["usage"]["prompt_tokens"])

    def _text(self, words: int) -> str:
        return " ".join(self._chance.choices(_WORDS, k=words))


def _says_something(delta: dict[str, object]) -> bool:
    return bool(delta.get("content") or delta.get("reasoning_content") or delta.get("reasoning"))
