"""Run rows with tokens guessed ahead, and the same rows without."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import mlx.core as mx
from support.engine_rig import Rig, lane

from mlxd.workers.engine.agreement import Eagerness
from mlxd.workers.engine.guesses import Draft, Guesser, Lookup
from mlxd.workers.engine.lane import Lane
from mlxd.workers.engine.lone import Lone
from mlxd.workers.engine.request import GenerateRequest, TokenOutput
from mlxd.workers.engine.speculation import Speculation


class Prophet:
    """Know what comes, and be wrong every so often."""

    def __init__(self, answer: Sequence[int], wrong_every: int = 0) -> None:
        self.eagerness = Eagerness(6)
        self._answer = answer
        self._wrong_every = wrong_every
        self.settled: list[int] = []
        self.nbytes = 0

    def guess(self, lone: Lone, tokens: int) -> mx.array | None:
        """Return what comes next, as far as it is known."""
        start = lone.row.sampled
        ahead = [
            token + (self._wrong_every > 0 and place % self._wrong_every == 0)
            for place, token in enumerate(self._answer[start : start + tokens], start)
        ]
        return mx.array(ahead, mx.uint32) if ahead else None

    def settle(self, accepted: int) -> None:
        """Remember what came true."""
        self.settled.append(accepted)

    def forget(self) -> None:
        """Hold nothing."""


def guessing(plain: Lane, *guessers: Guesser) -> Lane:
    """Return a lane in which these guess."""
    return replace(plain, speculation=Speculation(plain.model, plain.vocab, guessers))


def with_draft(kind: str, draft: str, *options: str) -> Lane:
    """Return a lane of one tiny model that another guesses for."""
    plain = lane(kind)
    return guessing(plain, Draft(lane(draft, *options).model, plain.vocab, 4096))


def with_lookup(kind: str, most: int = 6) -> Lane:
    """Return a lane that guesses by the row's earlier text."""
    return guessing(lane(kind), Lookup(most))


def outputs(lane: Lane, *items: GenerateRequest, **changes: Any) -> tuple[Rig, list[TokenOutput]]:
    """Return what one request after the other gives, and where they ran."""
    rig, found = Rig(lane, **changes), []
    for item in items:
        (uid,) = rig.submit(item)
        rig.finish()
        assert rig.error(uid) is None, rig.error(uid)
        found += rig.outputs(uid)
    return rig, found
