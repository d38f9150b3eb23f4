"""Find where messages end in a prompt: what a next turn has in common with this one mostly ends with a message."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlxd.workers.chat.traits import Message, Render

NEWEST = 8
"""Ends that are named, counted from the prompt's end; nobody goes back further."""

_SYSTEM, _USER, _ANSWER, _AGAIN = "probe-system", "probe-user", "probe-answer", "probe-again"


@dataclass(frozen=True, slots=True)
class MessageEnds:
    """Know the tokens with which a template ends messages."""

    closers: frozenset[int] = frozenset()
    closes_system: bool = False
    """A system prompt at the head is a message of its own."""

    def of(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """Return the lengths of the beginnings that end with one of the last messages."""
        ends = [at + 1 for at, token in enumerate(tokens) if token in self.closers]
        return tuple(ends[-NEWEST:])

    def system(self, tokens: Sequence[int]) -> int:
        """Return the length of the system prompt at the head of a conversation that has one, 0 if it cannot be told."""
        if not self.closes_system:
            return 0
        ends = (at + 1 for at, token in enumerate(tokens) if token in self.closers)
        return next(ends, 0)


def find(render: Render, marker: Callable[[str], int | None]) -> MessageEnds:
    """Return how the template behind `render` ends messages; `marker` gives the special token a text begins with."""
    talk = _attempt(render, ("user", _USER), ("assistant", _ANSWER), ("user", _AGAIN))
    found = {marker(_after(talk, word)) for word in (_USER, _ANSWER, _AGAIN)}
    headed = _attempt(render, ("system", _SYSTEM), ("user", _USER))
    system = marker(_after(headed.partition(_USER)[0], _SYSTEM))
    closers = frozenset(token for token in (*found, system) if token is not None)
    return MessageEnds(closers, closes_system=system is not None)


def _attempt(render: Render, *messages: tuple[str, str]) -> str:
    said: list[Message] = [{"role": role, "content": content} for role, content in messages]
    try:
        return render(said)
    except Exception:  # whatever a template's author wrote; nothing is known of such an order then
        return ""


def _after(text: str, word: str) -> str:
    return text.partition(word)[2].lstrip()
