"""Wait for something to become true; the only place in the tests that sleeps."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_LOOK_AGAIN_S = 0.02


def until(probe: Callable[[], T | None], *, within: float, what: str) -> T:
    """Return the first true answer of `probe`; fail with `what` was waited for when the time is over."""
    deadline = time.monotonic() + within
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {within:g} s in vain: {what}")
        time.sleep(_LOOK_AGAIN_S)
    return found


async def eventually(probe: Callable[[], T], *, within: float = 60.0, what: str = "") -> T:
    """Do the same inside an event loop, which goes on meanwhile."""
    deadline = time.monotonic() + within
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {within:g} s in vain: {what or probe}")
        await asyncio.sleep(_LOOK_AGAIN_S / 4)
    return found
