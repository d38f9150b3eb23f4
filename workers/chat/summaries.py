"""Have a model compress the older part of a conversation, and remember what it wrote."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from mlxd.workers.chat.request import ChatRequest, Controls, Role, Turn
from mlxd.workers.engine.request import Sampling

_MOST = 1024
"""Tokens of one summary, and a share of a small window."""
_SHARE = 8
_REMEMBERED = 256
"""Summaries, each a few kilobytes."""

_TASK = (
    "You compress conversations. Write a summary of the conversation below for the one who goes on with it: "
    "facts, names, numbers, decisions, results of tools, and what is still open. Write nothing else."
)
_HEADING = "Summary of the conversation up to here:"


def limit(window: int) -> int:
    """Return how long a summary may be."""
    return max(min(_MOST, window // _SHARE), 1)


def asking(turns: Sequence[Turn], before: str, window: int) -> ChatRequest:
    """Return the request for a summary of these turns, and of what an earlier summary says."""
    parts = [f"{_HEADING}\n{before}"] if before else []
    parts += [_spoken(turn) for turn in turns]
    text = "\n\n".join([*parts, "Write the summary."])
    return ChatRequest(
        turns=(Turn(role=Role.SYSTEM, text=_TASK), Turn(role=Role.USER, text=text)),
        template_options={"enable_thinking": False},
        controls=Controls(sampling=Sampling(temperature=0), max_tokens=limit(window)),
    )


def as_turn(summary: str) -> Turn:
    """Return the message that stands for what was summarized; any template takes one of a user's."""
    return Turn(role=Role.USER, text=f"{_HEADING}\n\n{summary}")


def _spoken(turn: Turn) -> str:
    said = [f"{turn.role.value}: {turn.text}"] if turn.text else []
    said += [f"{turn.role.value} calls {call.name}({call.arguments})" for call in turn.calls]
    return "\n".join(said) or f"{turn.role.value}:"


class Summaries:
    """Remember the newest summaries by what they are of, so that the next turn needs no other."""

    def __init__(self) -> None:
        self._texts: OrderedDict[str, str] = OrderedDict()

    def keep(self, name: str, text: str) -> None:
        """Remember a summary."""
        self._texts[name] = text
        self._texts.move_to_end(name)
        if len(self._texts) > _REMEMBERED:
            self._texts.popitem(last=False)

    def longest(self, names: Sequence[str]) -> tuple[int, str]:
        """Return of which of these beginnings, numbered from 1, the longest known summary is; 0 where none is known."""
        for number in range(len(names), 0, -1):
            text = self._texts.get(names[number - 1])
            if text is not None:
                self._texts.move_to_end(names[number - 1])
                return number, text
        return 0, ""


def names(groups: Sequence[Sequence[Turn]], tenant: str) -> list[str]:
    """Return a name for each beginning of a conversation; those of one tenant mean nothing to another."""
    digest = hashlib.blake2b(tenant.encode("utf-8", "surrogatepass"), digest_size=16)
    found = []
    for group in groups:
        digest.update(repr(group).encode("utf-8", "surrogatepass"))
        found.append(digest.hexdigest())
    return found
