"""Tell by the words of a chat template what its model was made for. Pure."""

_THINKS = (
    "think>", "<|think", "<|channel>", "<|open|>think", "enable_thinking", "reasoning_effort", "reasoning_content",
)  # fmt: skip
"""Marks of reasoning as templates write them or cut them away, and the names by which they are handed it."""


def offers_tools(template: str) -> bool:
    """Tell whether the template has a place for tools."""
    return "tools" in template


def thinks(template: str) -> bool:
    """Tell whether the template knows reasoning."""
    return any(word in template for word in _THINKS)
