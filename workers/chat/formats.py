"""Choose how a model's answers are read, from its tokenizer and template alone: no flag is needed (promise H3)."""

from collections.abc import Sequence
from typing import Any, Protocol

from mlxd.protocol import template_words
from mlxd.workers.chat import harmony_grammar, marked_grammar
from mlxd.workers.chat.call_notations import notation_of
from mlxd.workers.chat.harmony import ANSWER, BODY, HarmonySplitter
from mlxd.workers.chat.lark import Draft
from mlxd.workers.chat.markup import Markup, Piece, Splitter
from mlxd.workers.chat.reasoning import opened_by
from mlxd.workers.chat.request import Tool
from mlxd.workers.chat.tools import call_parser
from mlxd.workers.chat.want import Thinking, Want


class Splits(Protocol):
    """Turn chunks of one answer into pieces, the same however it is cut."""

    @property
    def in_reasoning(self) -> bool:
        """Say whether the next token counts as reasoning."""
        ...

    def feed(self, text: str) -> list[Piece]:
        """Return the pieces that `text` settles."""
        ...

    def finish(self, *, complete: bool) -> list[Piece]:
        """Return what is still held."""
        ...


class AnswerFormat(Protocol):
    """Know how one model marks reasoning and calls."""

    reads_calls: bool
    """Tools may be offered."""
    reads_thoughts: bool
    """Reasoning is told from the answer."""
    knows_thinking: bool
    """The model was made to reason, as far as its template tells; other models share a vocabulary with one that was."""
    thinking_marks: tuple[int, int] | None
    """The tokens that open and close a block of reasoning, None where no single ones do."""

    def opened_by(self, prompt: str) -> bool:
        """Say whether a rendered prompt ends inside a block of reasoning."""
        ...

    def begun(self, prompt: str, answer: str) -> str:
        """Return a rendered prompt with the beginning of its answer, past any reasoning."""
        ...

    def splitter(
        self, tools: Sequence[Tool], *, reasoning: bool, midway: bool = False
    ) -> Splits | None:
        """Return what reads one answer, or (midway) the rest of one; None where it has no parts."""
        ...

    def thinking_after(self, prompt: str) -> Thinking:
        """Say where a rendered prompt leaves reasoning."""
        ...

    def grammar(self, draft: Draft, want: Want) -> str:
        """Return the Lark expression for a whole answer; raises UnsupportedField for what no grammar can say."""
        ...


class MarkedFormat:
    """Read the markers that mlx-lm finds in the vocabulary (reasoning) and in the template (calls)."""

    def __init__(self, tokenizer: Any, template: str | None) -> None:
        """`template` is None where it cannot be read: the vocabulary is then all there is."""
        thinks, self.reads_calls = tokenizer.has_thinking, tokenizer.has_tool_calling
        self.reads_thoughts = bool(thinks)
        self.knows_thinking = bool(thinks) and (template is None or template_words.thinks(template))
        self._tokenizer = tokenizer
        self._markup = Markup(
            think_start=tokenizer.think_start if thinks else "",
            think_end=tokenizer.think_end if thinks else "",
            tool_start=tokenizer.tool_call_start if self.reads_calls else "",
            tool_end=tokenizer.tool_call_end if self.reads_calls else "",
        )
        self.thinking_marks = _marks(tokenizer) if thinks else None

    def opened_by(self, prompt: str) -> bool:
        """Say whether a rendered prompt ends inside a block of reasoning."""
        return opened_by(prompt, self._markup.think_start)

    def begun(self, prompt: str, answer: str) -> str:
        """Return a rendered prompt with the beginning of its answer, past any reasoning."""
        if self.opened_by(prompt):
            prompt = f"{prompt.rstrip()}\n\n{self._markup.think_end}\n\n"
        return prompt + answer

    def splitter(
        self, tools: Sequence[Tool], *, reasoning: bool, midway: bool = False
    ) -> Splits | None:
        """Return what reads one answer; tool markers are text where no tool was offered."""
        parse = call_parser(self._tokenizer, tools)
        if parse is None and not self._markup.think_start:
            return None
        return Splitter(self._markup, parse=parse, reasoning=reasoning, midway=midway)

    def thinking_after(self, prompt: str) -> Thinking:
        """Say where a rendered prompt leaves reasoning."""
        if self.opened_by(prompt):
            return Thinking.IS_OPEN
        end = self._markup.think_end
        return Thinking.IS_CLOSED if end and prompt.rstrip().endswith(end) else Thinking.UNASKED

    def grammar(self, draft: Draft, want: Want) -> str:
        """Return the Lark expression for a whole answer; raises UnsupportedField for what no grammar can say."""
        return marked_grammar.write(draft, want, self._markup, notation_of(self._tokenizer))


def _marks(tokenizer: Any) -> tuple[int, int] | None:
    opening, closing = (
        tokenizer.encode(text, add_special_tokens=False)
        for text in (tokenizer.think_start, tokenizer.think_end)
    )
    return (opening[0], closing[0]) if len(opening) == len(closing) == 1 else None


class HarmonyFormat:
    """Read channels."""

    reads_calls = True
    reads_thoughts = True
    knows_thinking = True
    thinking_marks: tuple[int, int] | None = None

    def opened_by(self, prompt: str) -> bool:
        """Say no: every answer begins with a header."""
        return False

    def begun(self, prompt: str, answer: str) -> str:
        """Return a rendered prompt with the beginning of its answer, past any reasoning."""
        return prompt + ANSWER + answer

    def splitter(
        self, tools: Sequence[Tool], *, reasoning: bool, midway: bool = False
    ) -> Splits | None:
        """Return what reads one answer."""
        return HarmonySplitter({tool.name for tool in tools}, midway=midway)

    def thinking_after(self, prompt: str) -> Thinking:
        """Say nothing: every answer begins with a header, which may be that of reasoning."""
        return Thinking.UNASKED

    def grammar(self, draft: Draft, want: Want) -> str:
        """Return the Lark expression for a whole answer; raises UnsupportedField for what no grammar can say."""
        return harmony_grammar.write(draft, want)


def format_of(tokenizer: Any) -> AnswerFormat:
    """Return the format a model answers in."""
    found = tokenizer.chat_template if tokenizer.has_chat_template else None
    template = found if isinstance(found, str) else None
    if template is not None and "<|channel|>" in template and BODY in template:
        return HarmonyFormat()
    # mlx-lm renders for some models in Python, whatever template their folder has.
    is_rendered_otherwise = tokenizer._chat_template is not None
    return MarkedFormat(tokenizer, None if is_rendered_otherwise else template)
