"""Put what a request demands in the terms of a format with markers."""

from mlxd.protocol.errors import UnsupportedField
from mlxd.workers.chat.call_notations import Notation, several
from mlxd.workers.chat.lark import ANYTHING, TEXT, Draft, literal
from mlxd.workers.chat.markup import Markup
from mlxd.workers.chat.want import Thinking, Want

_GAP = '( "\\n" | "\\n\\n" )?'
"""Models leave a line or two between their reasoning and the answer."""


def write(draft: Draft, want: Want, markup: Markup, notation: Notation | None) -> str:
    """Return the expression for a whole answer; raises UnsupportedField for calls no grammar can say."""
    answer = _answer(draft, want, markup, notation)
    return f"{_reasoning(draft, want, markup)} {answer}".strip()


def _reasoning(draft: Draft, want: Want, markup: Markup) -> str:
    if not markup.think_start or want.thinking is Thinking.IS_CLOSED:
        return ""
    if want.thinking is Thinking.UNASKED and not want.is_free:
        # Where few tokens are allowed, even an unlikely marker becomes likely.
        return ""
    rest = f"{draft.text_until(markup.think_end)} {_GAP}"
    if want.thinking is Thinking.IS_OPEN:
        return rest
    return f"( {draft.marker(markup.think_start)} {rest} )?"


def _answer(draft: Draft, want: Want, markup: Markup, notation: Notation | None) -> str:
    if want.must_call is not None:
        if notation is None:
            reason = "calls can't be forced into the format this model writes them in"
            raise UnsupportedField(want.must_call, reason)
        return _calls(draft, want, markup, notation)
    if want.output is None:
        return _text_and_calls(draft, want, markup, notation)
    if not want.tools:
        return want.output
    if notation is None:
        return f"( {want.output} | {draft.marker(markup.tool_start)} {ANYTHING} )"
    return f"( {want.output} | {_calls(draft, want, markup, notation)} )"


def _calls(draft: Draft, want: Want, markup: Markup, notation: Notation) -> str:
    rest = _after_start(draft, want, markup, notation)
    whole = draft.rule(f"{draft.marker(markup.tool_start)} {rest}")
    return several(whole, notation.between) if want.many_calls and notation.marked_each else whole


def _after_start(draft: Draft, want: Want, markup: Markup, notation: Notation) -> str:
    """Return the expression for calls from behind the first marker on."""
    block = notation.block(draft, want.tools, many=want.many_calls)
    return f"{block} {draft.marker(markup.tool_end)}".strip()


def _text_and_calls(draft: Draft, want: Want, markup: Markup, notation: Notation | None) -> str:
    """Return the expression for text in which calls may stand; a marker can only begin a call."""
    if notation is None:
        strict = next(tool for tool in want.tools if tool.strict)
        raise UnsupportedField(
            strict.field, "strict can't be enforced in the format this model writes calls in"
        )
    rest = draft.rule(_after_start(draft, want, markup, notation))
    call = f"{draft.marker(markup.tool_start)} {rest}"
    special = draft.is_special(markup.tool_start)
    head = "" if special else draft.rule(f"{TEXT} {literal(markup.tool_start)}", "[lazy]")
    if not markup.tool_end:  # what follows would belong to the call
        more = f"( {call} )*" if notation.marked_each else ""
        return f"{TEXT} ( {call} {more} )?" if special else f"( {TEXT} | {head} {rest} {more} )"
    return f"{TEXT} ( {call} {TEXT} )*" if special else f"( {head} {rest} )* {TEXT}"
