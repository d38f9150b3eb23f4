"""Decide what of a conversation goes when it is too long for the window. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from mlxd.workers.chat.request import Role, Turn

ANSWER_SHARE = 4
"""One part in so many of the window is left to an answer whose length nobody limits, and at most to one that is."""
STEPS = 8
"""One part in so many of the window is left out at once: the next turns then begin as this one, and are known."""
RECENT = 6
"""Messages that are never summarized."""


@dataclass(frozen=True, slots=True)
class Group:
    """Say of messages that stay or go together how long they are."""

    tokens: int
    messages: int = 1
    opens: bool = False
    """A user begins it, so that a conversation may begin with it."""


def room(window: int, max_tokens: int | None) -> int:
    """Return how long a prompt may be so that its answer has what it asked for, or a fair share of the window."""
    share = max(window // ANSWER_SHARE, 1)
    return window - (share if max_tokens is None else min(max_tokens, share))


def grouped(turns: Sequence[Turn]) -> tuple[list[Turn], list[list[Turn]]]:
    """Return the system messages at the head, and the rest so that no call is parted from its results."""
    count = next((i for i, turn in enumerate(turns) if turn.role is not Role.SYSTEM), len(turns))
    groups: list[list[Turn]] = []
    for turn in turns[count:]:
        if groups and turn.role in (Role.TOOL, Role.SYSTEM):
            groups[-1].append(turn)
        else:
            groups.append([turn])
    return list(turns[:count]), groups


def last_opening(groups: Sequence[Group]) -> int | None:
    """Return the place of the last group that a user begins; it always stays, as the last group does."""
    return next((i for i in reversed(range(len(groups))) if groups[i].opens), None)


def removals(groups: Sequence[Group]) -> list[int]:
    """Return the places of all that may go, in the order in which it goes: what was before the last question first."""
    asked, last = last_opening(groups), len(groups) - 1
    return [i for i in range(last) if i != asked]


def stops(groups: Sequence[Group]) -> list[int]:
    """Return the numbers of removals after which the rest can be read: it begins with a question where there is one."""
    asked = last_opening(groups)
    counts = range(len(removals(groups)) + 1)
    if asked is None:
        return list(counts)
    return [n for n in counts if n == 0 or n >= asked or groups[n].opens]


def removed(groups: Sequence[Group], room: int, least: int = 0) -> int:
    """Return how many removals make the rest fit, at least `least` of them; all of them where nothing fits."""
    order = removals(groups)
    whole = sum(group.tokens for group in groups)
    freed = [0, *accumulate(groups[i].tokens for i in order)]
    possible = stops(groups)
    fitting = (n for n in possible if n >= least and whole - freed[n] <= room)
    return next(fitting, possible[-1])


def stepped(groups: Sequence[Group], count: int, step: int) -> int:
    """Return how many removals at least as many as `count` free whole steps of tokens, before the last question.

    Whoever needs a little more next time needs the same: a cut moves once a step and not with each turn.
    """
    asked = last_opening(groups)
    if asked is None or not 0 < count <= asked:
        return count
    freed = [0, *accumulate(group.tokens for group in groups[:asked])]
    wanted = -(-freed[count] // step) * step
    possible = (n for n in stops(groups) if count <= n <= asked and freed[n] >= wanted)
    return next(possible, count)


def kept(groups: Sequence[Group], count: int) -> list[int]:
    """Return the places of what stays after so many removals."""
    gone = set(removals(groups)[:count])
    return [i for i in range(len(groups)) if i not in gone]


def recent(groups: Sequence[Group]) -> int:
    """Return the place of the first group of those that hold the last six messages; 0: there are no others."""
    messages = 0
    for place in reversed(range(len(groups))):
        messages += groups[place].messages
        if messages >= RECENT:
            return place
    return 0


def pieces(groups: Sequence[Group], room: int) -> list[range] | None:
    """Cut groups into runs that fit, None where one alone does not."""
    found: list[range] = []
    start = tokens = 0
    for place, group in enumerate(groups):
        if group.tokens > room:
            return None
        if tokens + group.tokens > room:
            found.append(range(start, place))
            start, tokens = place, 0
        tokens += group.tokens
    return [*found, range(start, len(groups))] if groups else found
