"""Do long work in short turns, between two steps of the engine."""

import time
from collections.abc import Generator
from typing import Generic, TypeVar

R = TypeVar("R")


class Stepwise(Generic[R]):
    """Run a generator a little at a time; each turn does at least one piece of it."""

    def __init__(self, work: Generator[None, None, R]) -> None:
        self._work = work
        self.result: R | None = None
        """What the work returned, once done."""
        self.done = False

    def run(self, seconds: float) -> bool:
        """Work for about so long; True when nothing is left to do. What the work raises ends it."""
        if self.done:
            return True
        deadline = time.perf_counter() + seconds
        try:
            while True:
                next(self._work)
                if time.perf_counter() >= deadline:
                    return False
        except StopIteration as finished:
            self.result = finished.value
        except BaseException:
            self.done = True
            raise
        self.done = True
        return True

    def stop(self) -> None:
        """Give the work up; what it holds is let go."""
        self.done = True
        self._work.close()
