"""Take a request through prompt, engine and reader: the one way from every text dialect to events."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from mlxd.protocol.errors import ContextLengthExceeded, InternalError, InvalidRequest
from mlxd.workers.chat import context_note
from mlxd.workers.chat.events import Event, TextDelta
from mlxd.workers.chat.formats import Splits
from mlxd.workers.chat.grammars import Grammars
from mlxd.workers.chat.reader import Reader
from mlxd.workers.chat.request import ChatRequest, CompletionRequest, Controls
from mlxd.workers.chat.shortening import Shortening
from mlxd.workers.chat.template import Prompt, PromptWriter
from mlxd.workers.chat.token_text import TokenText
from mlxd.workers.engine.detokenize import Detokenizer
from mlxd.workers.engine.grammar import RowGrammar
from mlxd.workers.engine.handle import Engine, Generation
from mlxd.workers.engine.request import GenerateRequest
from mlxd.workers.engine.thinking_budget import ThinkingBudget
from mlxd.workers.model import TextModel

_SEED_MASK = 2**63 - 1


class Row:
    """Pair one row of the engine with its reader."""

    def __init__(self, generation: Generation, reader: Reader) -> None:
        self._generation = generation
        self._reader = reader

    @property
    def prompt_tokens(self) -> int:
        """Return the length of the prompt."""
        return self._reader.prompt_tokens

    async def events(self) -> AsyncGenerator[list[Event]]:
        """Yield what each hand-over of tokens settles, the last with a Finish; raises MlxdError if the row failed."""
        try:
            async for outputs in self._generation:
                events = self._reader.read(outputs, self._generation.cached_tokens)
                if events:
                    yield events
                if self._reader.done:
                    return
        finally:
            self.cancel()
        raise InternalError("the engine ended an answer without saying why")

    def cancel(self) -> None:
        """Take the row out of the batch; nothing happens where it has left."""
        self._generation.cancel()


class Answers:
    """Hold the rows of one request; leaving the context cancels what still runs."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for row in self._rows:
            row.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def prompt_tokens(self) -> int:
        """Return the length of the first prompt; known before anything was read of it."""
        return self._rows[0].prompt_tokens

    async def __aiter__(self) -> AsyncIterator[tuple[int, list[Event]]]:
        """Yield (index of the answer, events) in the order they come; the first failure ends all."""
        if len(self._rows) == 1:
            async for events in self._rows[0].events():
                yield 0, events
            return
        queue: asyncio.Queue[tuple[int, list[Event]] | BaseException | None] = asyncio.Queue()
        self._tasks = [
            asyncio.create_task(_forward(index, row, queue)) for index, row in enumerate(self._rows)
        ]
        running = len(self._rows)
        while running:
            item = await queue.get()
            if item is None:
                running -= 1
            elif isinstance(item, BaseException):
                raise item
            else:
                yield item


async def _forward(
    index: int, row: Row, queue: "asyncio.Queue[tuple[int, list[Event]] | BaseException | None]"
) -> None:
    try:
        async for events in row.events():
            queue.put_nowait((index, events))
    except Exception as error:
        queue.put_nowait(error)
    else:
        queue.put_nowait(None)


class Pipeline:
    """Serve one model's requests; used on the HTTP thread's event loop."""

    def __init__(self, model: TextModel, engine: Engine) -> None:
        self.model = model
        self._engine = engine
        self.writer = PromptWriter(
            model.tokenizer, model.sight, model.spec.system_prompt, model.context_length
        )
        self.token_text = TokenText(model.tokenizer)
        self._grammars = Grammars(model, self.writer.format)
        self._shortening = Shortening(
            self.writer, model.context_length, model.spec.overflow, self._text
        )

    @property
    def reads_calls(self) -> bool:
        """Say whether tools may be offered to the model."""
        return self.writer.format.reads_calls

    @property
    def thinks(self) -> bool:
        """Say whether the model can be asked to reason."""
        return self.writer.format.knows_thinking or self.writer.traits.thinking_switch

    async def chat(self, request: ChatRequest) -> Answers:
        """Queue the next turn of a conversation; raises CallerError or QueueFull before anything runs."""
        fitted = await self._shortening.fit(request)
        answers = await self._begin(fitted.request, fitted.prompt)
        context_note.tell(fitted.note)
        return answers

    async def _text(self, request: ChatRequest) -> str:
        """Return what the model says to a request of our own; whoever waits for it in vain cancels it."""
        said: list[str] = []
        async with await self._begin(request, await self.writer.chat(request)) as answers:
            async for _, events in answers:
                said += [event.text for event in events if isinstance(event, TextDelta)]
        return "".join(said)

    async def _begin(self, request: ChatRequest, prompt: Prompt) -> Answers:
        if prompt.over is not None:
            limit = self.model.context_length
            raise ContextLengthExceeded(prompt.over, limit, "messages", at_least=True)
        grammar = await self._grammars.of_chat(request, prompt.thinking)
        rows = self._submit(
            prompt.tokens,
            request.controls,
            field="messages",
            splitter=lambda: self.writer.format.splitter(
                request.tools,
                reasoning=prompt.opens_reasoning,
                midway=bool(request.prefill) and not prompt.opens_reasoning,
            ),
            parallel_calls=request.parallel_calls,
            grammar=self._within_budget(request, prompt, grammar),
            prompt=prompt,
        )
        return Answers(rows)

    def _within_budget(
        self, request: ChatRequest, prompt: Prompt, grammar: RowGrammar | None
    ) -> RowGrammar | None:
        """Return the grammar with an end to reasoning; one that leaves no token for an answer is no budget."""
        marks, budget = self.writer.format.thinking_marks, request.thinking_budget
        limit = request.controls.max_tokens
        if marks is None or budget is None or (limit is not None and budget + 1 >= limit):
            return grammar
        opening, closing = marks
        return ThinkingBudget(
            tokens=budget,
            opening=opening,
            closing=closing,
            is_open=prompt.opens_reasoning,
            width=self.model.vocab_size,
            inner=grammar,
        )

    async def complete(self, request: CompletionRequest) -> Answers:
        """Queue plain continuations: all answers to the first prompt, then all to the second, and so on."""
        prompts = [await self._plain(prompt) for prompt in request.prompts]
        grammar = await self._grammars.of_completion(request.controls)
        rows: list[Row] = []
        try:
            for tokens in prompts:
                rows += self._submit(tokens, request.controls, field="prompt", grammar=grammar)
        except BaseException:
            _cancel(rows)
            raise
        return Answers(rows)

    async def plain_text(self, tokens: Sequence[int]) -> str:
        """Return the text of a prompt that came as token ids; raises InvalidRequest for an unknown id."""
        return await self.writer.decode(await self._plain(tuple(tokens)))

    def close(self) -> None:
        """Let go of what the pipeline started."""
        self.writer.close()
        self._grammars.close()

    async def _plain(self, prompt: str | tuple[int, ...]) -> tuple[int, ...]:
        if isinstance(prompt, str):
            return await self.writer.text(prompt)
        wrong = next((token for token in prompt if not 0 <= token < self.model.vocab_size), None)
        if wrong is not None:
            last = self.model.vocab_size - 1
            raise InvalidRequest(
                f"prompt: expected token ids from 0 to {last}, got {wrong}", field="prompt"
            )
        return prompt

    def _submit(
        self,
        tokens: tuple[int, ...],
        controls: Controls,
        *,
        field: str,
        splitter: Callable[[], Splits | None] = lambda: None,
        parallel_calls: bool = True,
        grammar: RowGrammar | None = None,
        prompt: Prompt | None = None,
    ) -> list[Row]:
        """Queue all choices of one prompt, or none."""
        rows: list[Row] = []
        try:
            for choice in range(controls.choices):
                asked = replace(
                    self._generate(tokens, controls, choice, field),
                    grammar=grammar,
                    ends=prompt.ends if prompt is not None else (),
                    system=prompt.system if prompt is not None else 0,
                    reading=prompt.reading if prompt is not None else None,
                )
                generation = self._engine.submit(asked)
                reader = Reader(
                    detokenizer=Detokenizer(self.model.tokenizer),
                    prompt_tokens=len(tokens),
                    splitter=splitter(),
                    stops=controls.stops,
                    logprobs=controls.logprobs is not None,
                    parallel_calls=parallel_calls,
                )
                rows.append(Row(generation, reader))
        except BaseException:
            _cancel(rows)
            raise
        return rows

    def _generate(
        self, tokens: tuple[int, ...], controls: Controls, choice: int, field: str
    ) -> GenerateRequest:
        if not tokens:
            raise InvalidRequest(f"{field}: expected a prompt, got nothing", field=field)
        room = self.model.context_length - len(tokens)
        if room < 1:
            raise ContextLengthExceeded(len(tokens), self.model.context_length, field)
        sampling = controls.sampling
        if sampling.seed is not None and choice:
            sampling = replace(sampling, seed=(sampling.seed + choice) & _SEED_MASK)
        return GenerateRequest(
            prompt=tokens,
            max_tokens=min(room, controls.max_tokens or room),
            sampling=sampling,
            logprobs=controls.logprobs,
            ignore_eos=controls.ignore_eos,
        )


def _cancel(rows: Sequence[Row]) -> None:
    for row in rows:
        row.cancel()
