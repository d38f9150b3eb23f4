"""Prove that a freshly loaded model can speak, alone and in a batch."""

import logging
from dataclasses import replace

from mlxd.protocol.errors import ModelLoadFailed
from mlxd.workers import limits
from mlxd.workers.engine.inbox import Inbox, Submit
from mlxd.workers.engine.lane import Lane, Outlets
from mlxd.workers.engine.loop import EngineLoop
from mlxd.workers.engine.request import GenerateRequest, Sampling
from mlxd.workers.engine.sequence import Delivery
from mlxd.workers.engine.stats import Board

log = logging.getLogger(__name__)

TOKENS = 2
STEPS = 100
"""More steps than the test takes, so that a model that never answers does not hold up the worker."""


def speak(lane: Lane) -> Lane:
    """Generate a few tokens and return the lane to use: one row at a time where the model fails in a batch.

    Raises ModelLoadFailed where no token comes out.
    """
    failure = _try(lane)
    if failure is None:
        return lane
    if lane.bounds.max_batch > 1 and not limits.is_device_error(ModelLoadFailed(failure)):
        log.warning(
            "the model fails with rows side by side, serving one at a time error=%r", failure
        )
        lane = replace(lane, bounds=replace(lane.bounds, max_batch=1))
        failure = _try(lane)
        if failure is None:
            return lane
    raise ModelLoadFailed(f"the model loaded but cannot generate: {failure}")


def _try(lane: Lane) -> str | None:
    """Return what went wrong, None where all tokens came."""
    news: list[Delivery] = []
    inbox = Inbox()
    loop = EngineLoop(lane, inbox, Board(lane.bounds.max_batch), Outlets(news.extend))
    greedy = Sampling(temperature=0)
    lengths = (1, 3) if lane.bounds.max_batch > 1 else (3,)
    for uid, length in enumerate(lengths):
        request = GenerateRequest(
            prompt=(0,) * length, max_tokens=TOKENS, sampling=greedy, ignore_eos=True
        )
        inbox.put(Submit(uid, request))
    for _ in range(STEPS):
        loop.step()
        failed = next((item.error for item in news if item.error is not None), None)
        if failed is not None:
            return str(failed)
        if sum(item.is_last for item in news) == len(lengths):
            return None
    return "no token came"
