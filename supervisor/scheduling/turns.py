"""Let the keys that wait for one model take turns, where priority does not decide.

A key's next request counts by how many of its requests have the model already, and among equals the key goes first
that has waited for a turn the longest. So nobody gains by sending many requests at once. Which model comes when is not
touched: turns are taken only among requests of the same model and rank.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

_NEVER = 0


@dataclass(frozen=True, slots=True)
class Shared:
    """Hold how a model is shared; the default is that of a model which nobody has."""

    running: Mapping[str, int] = field(default_factory=dict)
    """Key to how many of its requests have the model."""
    served: Mapping[str, int] = field(default_factory=dict)
    """Key to the number of the grant it got last; later grants have higher numbers."""


class Claim(Protocol):
    """Describe one request that waits."""

    @property
    def model_id(self) -> str:
        """Return the model it asks for."""
        ...

    @property
    def tenant(self) -> str:
        """Return the key it came with."""
        ...


C = TypeVar("C", bound=Claim)


def in_turns(line: Sequence[tuple[int, C]], shared: Mapping[str, Shared]) -> list[C]:
    """Return the requests of a line, each with its rank, in the order of their turns.

    A request's place goes to another one of its model and rank, or stays its own.
    """
    if len({claim.tenant for _, claim in line}) < 2:
        return [claim for _, claim in line]
    waiting: dict[str, dict[int, list[C]]] = defaultdict(lambda: defaultdict(list))
    for rank, claim in line:
        waiting[claim.model_id][rank].append(claim)
    turns = {
        model_id: _by_rank(ranks, shared.get(model_id, Shared()))
        for model_id, ranks in waiting.items()
    }
    return [turns[claim.model_id][rank].popleft() for rank, claim in line]


def _by_rank(ranks: Mapping[int, Sequence[C]], shared: Shared) -> dict[int, deque[C]]:
    held, served = Counter(shared.running), dict(shared.served)
    return {rank: _round(ranks[rank], held, served) for rank in sorted(ranks)}


def _round(claims: Sequence[C], held: Counter[str], served: dict[str, int]) -> deque[C]:
    """Order requests of one model and rank, and count what they get on top of what their keys hold."""
    own: dict[str, deque[C]] = {}
    for claim in claims:
        own.setdefault(claim.tenant, deque()).append(claim)
    first = {tenant: place for place, tenant in enumerate(own)}
    number = max(served.values(), default=_NEVER)
    turns: deque[C] = deque()
    while own:
        tenant = min(own, key=lambda t: (held[t], served.get(t, _NEVER), first[t]))
        turns.append(own[tenant].popleft())
        if not own[tenant]:
            del own[tenant]
        number += 1
        held[tenant] += 1
        served[tenant] = number
    return turns
