"""Render conversations and turn text into tokens, off the engine thread and off the event loop."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, TypeVar

from mlxd.protocol.errors import ContextLengthExceeded, InvalidRequest, UnsupportedField
from mlxd.workers import long_text
from mlxd.workers.chat import sight as sights
from mlxd.workers.chat.formats import format_of
from mlxd.workers.chat.message_ends import MessageEnds, find
from mlxd.workers.chat.normalize import messages_for
from mlxd.workers.chat.request import ChatRequest, Role, Turn, headed
from mlxd.workers.chat.sight import Sight
from mlxd.workers.chat.traits import Message, TemplateTraits, probe
from mlxd.workers.chat.want import Thinking
from mlxd.workers.engine.detokenize import prepare
from mlxd.workers.engine.reading import PromptReading

_log = logging.getLogger(__name__)
_THREADS = 4
_MARKER = 64
"""Characters that hold any special token."""
_COUNTED = 2**18
"""Tokens that are counted for whoever only counts, or twice the window where that is more."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Prompt:
    """Hold a rendered conversation."""

    tokens: tuple[int, ...]
    thinking: Thinking
    ends: tuple[int, ...] = ()
    """Lengths of the beginnings that end with one of the last messages, as far as they can be told."""
    system: int = 0
    """Length of the system prompt it begins with; 0: none, or it cannot be told."""
    reading: PromptReading | None = None
    """How it is read where its tokens are not all of it."""

    over: int | None = None
    """At least so many tokens it has, where it is so much longer than the window that they were not made."""

    @property
    def length(self) -> int:
        """Return how many tokens it has, at the least."""
        return len(self.tokens) if self.over is None else self.over

    @property
    def opens_reasoning(self) -> bool:
        """Whether the prompt ends inside a block of reasoning."""
        return self.thinking is Thinking.IS_OPEN


class PromptWriter:
    """Write the prompts of one model.

    Where the tokenizer has a Rust core, only that core's encoding is called: it borrows nothing that another thread's
    `decode` could find borrowed. Any other tokenizer is used by one thread at a time, and text then waits for pictures.
    """

    def __init__(
        self,
        tokenizer: Any,
        sight: Sight | None = None,
        system_prompt: str | None = None,
        window: int | None = None,
    ) -> None:
        self._window = window
        self._tokenizer = tokenizer
        self._system_prompt = system_prompt
        self._sight = sight
        core = getattr(tokenizer, "backend_tokenizer", None)
        self._core = core if hasattr(core, "encode") and hasattr(core, "no_truncation") else None
        if self._core is not None:
            self._core.no_truncation()
            self._core.no_padding()
        self._executor = ThreadPoolExecutor(
            _THREADS if self._core is not None else 1, thread_name_prefix="mlxd-prompt"
        )
        self._looking = (
            ThreadPoolExecutor(1, thread_name_prefix="mlxd-look")
            if self._core is not None
            else self._executor
        )
        """Pictures take long to prepare, and one after the other: text has threads of its own."""
        self.format = format_of(tokenizer)
        self._executor.submit(self._warm)

    def _warm(self) -> None:
        """Do what takes a moment ahead of the first request: compile the template, make the tables of tokens."""
        prepare(self._tokenizer)
        if self._tokenizer.has_chat_template:
            _log.debug("chat template: %s, %s", self.traits, self.message_ends)

    async def chat(self, request: ChatRequest) -> Prompt:
        """Return the prompt for the next turn; raises InvalidRequest with the template's own sentence."""
        return await self._chat(request, self._window)

    async def count(self, request: ChatRequest) -> int:
        """Return the length of the prompt for the next turn; raises ContextLengthExceeded where that is beyond use."""
        window = self._window
        prompt = await self._chat(request, None if window is None else max(2 * window, _COUNTED))
        if prompt.over is not None and window is not None:
            raise ContextLengthExceeded(prompt.over, window, at_least=True)
        return prompt.length

    async def _chat(self, request: ChatRequest, most: int | None) -> Prompt:
        parts = sights.pictures_of(request.turns)
        if not parts:
            return await self._run(lambda: self.render_chat(request, most=most))
        sights.check_taken(parts, self._sight)
        assert self._sight is not None
        pictures = await self._sight.pictures(parts)
        return await asyncio.get_running_loop().run_in_executor(
            self._looking, lambda: self.render_chat(request, pictures, most)
        )

    async def text(self, text: str) -> tuple[int, ...]:
        """Return a plain prompt's tokens, with those the tokenizer puts around a text.

        Raises ContextLengthExceeded for a text that is too long by far, before it has all its tokens.
        """
        return await self._run(lambda: self._plain(text))

    def _plain(self, text: str) -> tuple[int, ...]:
        over = self._over(text, self._window, "prompt")
        if over is not None and self._window is not None:
            raise ContextLengthExceeded(over, self._window, "prompt", at_least=True)
        return self._encode(text, special=True)

    async def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has by itself; of one that is too long alone, at least how many."""
        found: list[int] = []
        for batch in long_text.batches(texts):
            found += await self._run(partial(self._lengths, batch))
        return found

    async def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens a caller sent."""
        return await self._run(lambda: str(self._tokenizer.decode(list(tokens))))

    def close(self) -> None:
        """Let the threads go."""
        for executor in (self._executor, self._looking):
            executor.shutdown(wait=False, cancel_futures=True)

    def render_chat(
        self, request: ChatRequest, pictures: Sequence[Any] = (), most: int | None = None
    ) -> Prompt:
        """Do what `chat` does, on the calling thread, with the pictures in the order they stand.

        Tokens are made of a prompt that has no more than `most` of them.
        """
        if not self._tokenizer.has_chat_template:
            reason = "this model has no chat template; /v1/completions takes plain prompts"
            raise InvalidRequest(f"messages: {reason}", field="messages")
        request = headed(request, self._system_prompt)
        if self._sight is not None:
            request = sights.plain(request, self._sight.plain)
        text = self._with_pictures(request) if pictures else self._rendered(request)
        if request.prefill:
            text = self.format.begun(text, request.prefill)
        if (over := self._over(text, most)) is not None:
            return Prompt((), Thinking.UNASKED, over=over)
        tokens, reading = self._read(text, request, pictures)
        begins = request.turns[:1] and request.turns[0].role is Role.SYSTEM
        system = self.message_ends.system(tokens) if begins else 0
        ends = self.message_ends.of(tokens)
        return Prompt(tokens, self._thinking(text, request), ends, system, reading)

    def _read(
        self, text: str, request: ChatRequest, pictures: Sequence[Any]
    ) -> tuple[tuple[int, ...], PromptReading | None]:
        if not pictures or self._sight is None:
            return self._encode(text, special=False), None
        return self._sight.look(text, pictures, sights.pictures_of(request.turns))

    def _with_pictures(self, request: ChatRequest) -> str:
        """Write a conversation in the first way in which the template shows each picture once."""
        assert self._sight is not None
        moved = replace(request, turns=sights.beside_results(request.turns))
        parts = sights.pictures_of(request.turns)
        in_text = sights.in_text(self._sight.marker)
        refused: InvalidRequest | None = None
        for asked, content in (
            (request, sights.in_parts), (moved, sights.in_parts), (moved, in_text)
        ):  # fmt: skip
            try:
                text = self._rendered(asked, content)
            except InvalidRequest as error:
                refused = refused or error
                continue
            if sights.shows_each(text, parts, self._sight):
                return text
        if refused is not None:
            raise refused
        raise UnsupportedField(parts[0].field, "the model's chat template has no place for it")

    def _rendered(
        self, request: ChatRequest, content: Callable[[Turn], object] = lambda turn: turn.text
    ) -> str:
        """Return the template's text; raises InvalidRequest with its own sentence."""
        messages = messages_for(request.turns, self.traits, content)
        tools = [tool.for_template() for tool in request.tools] or None
        try:
            return self._render(messages, tools, request.template_options)
        except (
            Exception
        ) as error:  # a template raises whatever its author wrote, and only about what it was given
            _log.info("chat template: %s: %s", type(error).__name__, error)
            sentence = str(error) or type(error).__name__
            raise InvalidRequest(
                f"messages: the model's chat template refuses them: {sentence}", field="messages"
            ) from error

    def _thinking(self, text: str, request: ChatRequest) -> Thinking:
        """Say where the prompt leaves reasoning; asked for is what would read the same with thinking switched on."""
        found = self.format.thinking_after(text)
        if found is not Thinking.UNASKED:
            return found
        wish = request.template_options.get("enable_thinking")
        asked = self.traits.thinks_unasked if wish is None else bool(wish)
        return Thinking.MAY_OPEN if asked and self.traits.thinking_switch else found

    @cached_property
    def traits(self) -> TemplateTraits:
        """Say what the model's template takes; found out on first use."""
        return probe(lambda messages, **options: self._render(messages, None, options))

    @cached_property
    def message_ends(self) -> MessageEnds:
        """Say how the model's template ends messages; found out on first use."""
        special = frozenset(self._tokenizer.all_special_ids) | frozenset(
            self._core.get_added_tokens_decoder() if self._core is not None else ()
        )

        def marker(text: str) -> int | None:
            first = self._encode(text[:_MARKER], special=False)[:1]
            return first[0] if first and first[0] in special else None

        return find(lambda messages, **options: self._render(messages, None, options), marker)

    def _render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, object]] | None,
        options: Mapping[str, object],
    ) -> str:
        wrapper = self._tokenizer
        # mlx-lm's wrapper switches thinking on wherever the caller said nothing; templates have defaults of their own,
        # so the tokenizer inside is asked unless the template is a Python function that only the wrapper knows.
        inner = wrapper if wrapper._chat_template is not None else wrapper._tokenizer
        if wrapper._thinking_kwarg != "enable_thinking" and "enable_thinking" in options:
            options = {wrapper._thinking_kwarg: options["enable_thinking"], **options}
        rendered = inner.apply_chat_template(
            list(messages), tools=tools, tokenize=False, add_generation_prompt=True, **options
        )
        return str(rendered)

    def _encode(self, text: str, *, special: bool) -> tuple[int, ...]:
        if self._core is not None:
            return tuple(long_text.encode(self._core, text, special=special).ids)
        return tuple(self._tokenizer.encode(text, add_special_tokens=special))

    def _count(self, text: str) -> int:
        if self._core is not None:
            return len(long_text.encode(self._core, text, special=False))
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def _lengths(self, texts: Sequence[str]) -> list[int]:
        return [self._over(text, self._window) or self._count(text) for text in texts]

    def _over(self, text: str, most: int | None, field: str = "messages") -> int | None:
        """Return at least how many tokens a text has that has more than `most`, None where it may have fewer."""
        begun = None if most is None else long_text.beginning(text, most, self._count, field)
        return begun.tokens if begun is not None else None

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
