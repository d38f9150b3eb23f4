"""Say how a prompt is read whose tokens do not say all there is to read, such as one with pictures."""

from typing import Any, Protocol

import mlx.core as mx


class PromptReading(Protocol):
    """Read one prompt; several rows may share it. All methods run on the engine thread."""

    @property
    def key(self) -> tuple[int, ...]:
        """Return what the prompt cache knows the prompt by: a number a token, different for what looks different."""
        ...

    def shift(self) -> int:
        """Return by how much the positions of what follows the prompt differ from counting its tokens."""
        ...

    def whole(self, length: int) -> int:
        """Return the most tokens, up to so many, that cut nothing in two."""
        ...

    def read(self, tokens: list[int], start: int, stop: int, cache: list[Any]) -> None:
        """Read tokens from one place to another into a cache of those before; they may go on after the prompt."""
        ...


def shifts(readings: list["PromptReading | None"]) -> mx.array | None:
    """Return the shift of each row, None where there is none to tell."""
    if not any(readings):
        return None
    return mx.array([reading.shift() if reading is not None else 0 for reading in readings])
