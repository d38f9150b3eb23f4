"""Decide where a prefill stops so that its state can be kept.

A state that can be trimmed serves every prefix of its tokens: keeping it at the end is enough. A recurrent state, or
a sliding window that has slid, serves its own tokens only: what the next turn shares with this one must be kept
while it is computed. The next turn shares everything up to the end of the last message, but often not the tail that
opens the reply (a template may drop old reasoning), so the state is kept at the ends of messages.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mlxd.workers.prompt_cache.eviction_order import Kind

NEWEST = 2
"""Ends of messages kept in one prompt, counted from its end: the last user message, and the one to go back to."""
GAP = 8
"""Tokens that are computed again rather than kept: the tail that opens the reply is often shorter."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Keep the state of the first `position` tokens."""

    position: int
    kind: Kind


def plan(
    length: int,
    *,
    ends: Sequence[int] = (),
    system: int = 0,
    cached: int = 0,
    trimmable: bool,
) -> tuple[Checkpoint, ...]:
    """Return where to stop a prompt's prefill and keep its state, in order.

    `ends` are the positions after each message, `system` the position after the system prompt (0: none), `cached` how
    many tokens need no prefill. The last token of a prompt is never prefilled, it is fed to get the first reply token:
    all positions are after `cached` and before `length`.
    """
    last = length - 1
    if trimmable:
        return (Checkpoint(last, Kind.PREFILL),) if cached < last else ()
    messages = sorted({end for end in ends if cached < end <= last and end != system})
    wanted = {end: Kind.MESSAGE for end in messages[-NEWEST:]}
    if cached < system <= last:
        wanted[system] = Kind.SYSTEM
    if cached < last and not any(last - end <= GAP for end in (*wanted, cached)):
        wanted[last] = Kind.PREFILL
    return tuple(Checkpoint(position, wanted[position]) for position in sorted(wanted))
