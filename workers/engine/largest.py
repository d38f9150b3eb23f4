"""Find the few largest numbers of long rows without putting the whole rows in order.

Metal's partition is a sort of everything, which takes longer the larger the vocabulary is (mlx/backend/metal/sort.cpp),
and on a CPU a partition is dear too. But of the largest numbers each stands in a part of the row whose own largest is
among the largest of all parts: so many parts hold all of them.
"""

import math

import mlx.core as mx

FEW = 256
"""How many times longer a row must be than what is wanted of it; what is spared otherwise costs as much."""


def largest(x: mx.array, count: int) -> mx.array:
    """Return the largest `count` numbers of each row in rising order."""
    rows, width = x.shape
    if width < FEW * count:
        return mx.sort(mx.partition(x, width - count, axis=-1)[:, -count:], axis=-1)
    size = math.isqrt(width // count)
    parts = -(-width // size)
    x = mx.pad(x, [(0, 0), (0, parts * size - width)], constant_values=-mx.inf)
    x = x.reshape(rows, parts, size)
    best = mx.argpartition(x.max(axis=-1), parts - count, axis=-1)[:, -count:]
    candidates = mx.take_along_axis(x, best[:, :, None], axis=1).reshape(rows, -1)
    return mx.sort(candidates, axis=-1)[:, -count:]
