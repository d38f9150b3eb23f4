"""Tell where reasoning begins: from the markers of the tokenizer and from the end of the rendered prompt."""

from typing import Any

from mlxd.workers.chat.markup import Markup


def markup_of(tokenizer: Any) -> Markup:
    """Return the markers of a model's reasoning and tool calls."""
    thinks, calls = tokenizer.has_thinking, tokenizer.has_tool_calling
    return Markup(
        think_start=tokenizer.think_start if thinks else "",
        think_end=tokenizer.think_end if thinks else "",
        tool_start=tokenizer.tool_call_start if calls else "",
        tool_end=tokenizer.tool_call_end if calls else "",
    )


def opened_by(prompt: str, markup: Markup) -> bool:
    """Say whether the prompt ends inside a block of reasoning.

    Decided from what the template wrote, not from the flag the caller sent: templates differ in what they make of it.
    """
    return bool(markup.think_start) and prompt.rstrip().endswith(markup.think_start)
