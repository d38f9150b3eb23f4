"""Compose answers with markers whole, broken and nested."""

import json

from hypothesis import strategies as st

from mlxd.workers.chat.markup import Markup
from mlxd.workers.chat.tools import ParsedCall, read_calls

MARKUP = Markup(
    think_start="<think>", think_end="</think>", tool_start="<tool_call>", tool_end="</tool_call>"
)
GOOD = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'
BAD = "<tool_call>\n{nonsense\n</tool_call>"
WORDS = st.sampled_from(
    ["<think>", "</think>", GOOD, BAD, "<tool_call>", "</tool_call>", "<", "</", "<tool", "<thi"]
    + [" ", "\n\n", "Hello", "<b>", "é🙂", "a < b", "<<think>", "<tool_<tool_call>"]
)
TEXTS = st.lists(WORDS, max_size=12).map("".join)


def parse(text: str) -> tuple[ParsedCall, ...] | None:
    """Read the body of a call; None where it is malformed."""
    try:
        return read_calls(json.loads(text))
    except ValueError:
        return None
