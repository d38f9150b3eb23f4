"""Hold token sequences as bytes, four a token, so that comparing them is a memory comparison."""

from array import array
from collections.abc import Sequence
from typing import NewType

WIDTH = 4
"""Bytes a token."""

Packed = NewType("Packed", bytes)


def pack(tokens: Sequence[int]) -> Packed:
    """Return the tokens as bytes."""
    return Packed(array("I", tokens).tobytes())


def unpack(packed: bytes) -> list[int]:
    """Return the tokens that were packed."""
    return array("I", packed).tolist()


def count(packed: bytes) -> int:
    """Return how many tokens there are."""
    return len(packed) // WIDTH


def head(packed: Packed, tokens: int) -> Packed:
    """Return the first so many tokens."""
    return Packed(packed[: tokens * WIDTH])


def shared(run: bytes, packed: bytes, at: int) -> int:
    """Return how many bytes of `run`, in whole tokens, stand in `packed` from byte `at` on.

    Halves the part that may differ, so the bytes compared add up to twice the length at most.
    """
    low, high = 0, min(len(run), len(packed) - at)
    if run[:high] == packed[at : at + high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if run[low:middle] == packed[at + low : at + middle]:
            low = middle
        else:
            high = middle
    return low // WIDTH * WIDTH
