"""Hold tokenized texts, and put them into padded arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Row:
    """Hold a text's tokens, special ones included; `types` tell the two texts of a pair apart."""

    ids: tuple[int, ...]
    types: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Padded:
    """Hold rows side by side; all arrays are int32 of shape (rows, longest)."""

    ids: NDArray[np.int32]
    mask: NDArray[np.int32]
    """1 for a token, 0 for padding, which stands behind the tokens."""
    types: NDArray[np.int32] | None


def pad(rows: Sequence[Row], filler: int) -> Padded:
    """Return the rows filled up to the longest."""
    shape = len(rows), max(map(len, rows))
    ids = np.full(shape, filler, dtype=np.int32)
    mask, types = np.zeros(shape, dtype=np.int32), np.zeros(shape, dtype=np.int32)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row.ids
        mask[number, : len(row)] = 1
        if row.types is not None:
            types[number, : len(row)] = row.types
    return Padded(ids, mask, types if any(row.types is not None for row in rows) else None)
