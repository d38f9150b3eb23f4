"""In a thousand random schedules of coming and leaving, greedy rows say what each of them says alone."""

import functools
import random
from dataclasses import replace

import pytest
from support.engine_rig import Rig, alone, lane, prompt, request

from mlxd.workers.engine.request import GenerateRequest

KINDS = ("qwen3", "llama", "gemma3", "gpt_oss", "hybrid", "mamba2")
"""Full attention, sliding windows, sinks and experts, linear attention, state space."""
SCHEDULES = 170
"""Per model, so that there are more than a thousand."""
LENGTHS = (1, 2, 5, 12, 33, 70)
LIMITS = (1, 2, 4, 8)
KNOWN = 16
"""Requests whose text alone is worked out once."""


@functools.cache
def known(kind: str) -> tuple[tuple[GenerateRequest, list[int]], ...]:
    """Return requests with what each of them says alone."""
    draw = random.Random(kind)
    asked = [request(prompt(draw.choice(LENGTHS), at), draw.choice(LIMITS)) for at in range(KNOWN)]
    return tuple((item, alone(lane(kind), item)) for item in asked)


def run(rig: Rig, todo: list[GenerateRequest], draw: random.Random) -> list[tuple[int, bool]]:
    """Let requests come, and some leave, at any time; return each row's id and whether it was cut off."""
    rows: list[int] = []
    left: set[int] = set()
    waiting = list(reversed(todo))
    while waiting or rig.loop.rows:
        for _ in range(draw.choice((0, 0, 1, 1, 2, 4))):
            if waiting:
                rows += rig.submit(waiting.pop())
        if rows and draw.random() < 0.08:
            uid = draw.choice(rows)
            if rig.reason(uid) is None:
                left.add(uid)
            rig.cancel(uid)
        rig.step()
    return [(uid, uid in left) for uid in rows]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_random_schedules_say_what_they_say_alone(kind: str) -> None:
    model = lane(kind)
    rigs = [Rig(model, bounds=replace(model.bounds, max_batch=width)) for width in (2, 3, 6, 32)]
    ended = 0
    for seed in range(SCHEDULES):
        draw = random.Random(f"{kind}-{seed}")
        chosen = draw.choices(known(kind), k=draw.randint(2, 6))
        rig = draw.choice(rigs)
        rows = run(rig, [item for item, _ in chosen], draw)
        for (uid, cut), (_, expected) in zip(rows, chosen, strict=True):
            said = rig.tokens(uid)
            assert said == (expected[: len(said)] if cut else expected), f"{kind}, seed {seed}"
            ended += not cut
    assert ended > SCHEDULES
