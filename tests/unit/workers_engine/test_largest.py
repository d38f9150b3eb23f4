"""The largest numbers of a row are the same however they are found."""

import mlx.core as mx
import numpy as np
import pytest

from mlxd.workers.engine import largest as module
from mlxd.workers.engine.largest import largest


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize(
    ("width", "count"), [(1536, 40), (1024, 1024), (10_240, 40), (10_241, 40), (70_001, 7), (70_001, 1)]
)  # fmt: skip
@pytest.mark.parametrize("values", ["all differ", "many are equal", "most are forbidden"])
def test_they_are_those_at_the_end_of_the_whole_row_in_order(
    rows: int, width: int, count: int, values: str
) -> None:
    draw = np.random.default_rng(width + count)
    row = draw.standard_normal((rows, width)).astype(np.float32)
    if values == "many are equal":
        row = np.round(row)
    elif values == "most are forbidden":
        row[:, draw.permutation(width)[: width - count // 2]] = -np.inf
    found = largest(mx.array(row), count)
    assert (np.array(found) == np.sort(row)[:, -count:]).all()


def test_they_are_found_in_rows_that_ascend_descend_and_stand_in_one_part() -> None:
    width, count = module.FEW * 40, 40
    row = np.arange(width, dtype=np.float32)
    for turned in (row, row[::-1], np.roll(row, width // 2 + 3)):
        found = largest(mx.array(turned[None].copy()), count)
        assert np.array(found)[0].tolist() == row[-count:].tolist()
