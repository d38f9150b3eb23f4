"""Sizes are read strictly, chosen in the shape that is wanted, and what they take is foreseen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxd.protocol.errors import InvalidRequest
from mlxd.workers.drawing import appetite, sizes
from mlxd.workers.drawing.painter import preview_steps


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64x48", (64, 48)),
        (" 1024X512 ", (1024, 512)),
        ("16×32", (16, 32)),
        ("auto", None),
        (None, None),
    ],
)
def test_a_size_is_read(text: str | None, size: tuple[int, int] | None) -> None:
    assert sizes.of(text) == size


@pytest.mark.parametrize("text", ["", "x", "64", "64x", "64x48x2", "-1x2", "1e3x5", "9" * 99])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        sizes.of(text)
    assert refused.value.field == "size"


@given(
    st.integers(1, 20_000), st.integers(1, 20_000), st.integers(65_536, 1 << 22), st.sampled_from([8, 16, 32])
)  # fmt: skip
def test_a_size_like_another_can_be_drawn(
    width: int, height: int, most: int, multiple: int
) -> None:
    if max(width, height) > 6 * min(width, height) or min(width, height) < multiple:
        return
    found = sizes.like((width, height), multiple=multiple, most_pixels=most)
    sizes.check(found, multiple=multiple, least=multiple, most_pixels=most)
    assert found[0] <= max(width, multiple) and found[1] <= max(height, multiple)


def test_who_says_nothing_gets_the_usual_size_or_what_is_allowed() -> None:
    assert sizes.usual(multiple=16, most_pixels=1 << 22) == (1024, 1024)
    assert sizes.usual(multiple=16, most_pixels=300_000) == (544, 544)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**6), st.integers(0, 10**6))
def test_what_grows_straight_is_foreseen_and_never_less(
    base: int, other: int, slope: int, slower: int
) -> None:
    """Of two phases the hungrier counts at each size."""

    def taken(pixels: int) -> list[int]:
        return [base + slope * pixels, other + slower * pixels]

    found = appetite.fit(1024, taken(1024), 4096, taken(4096))
    for pixels in (1024, 4096, 1 << 20):
        assert max(taken(pixels)) * 0.999 <= found.bytes(pixels) <= max(taken(pixels)) * 1.16 + 1


def test_a_phase_that_shrank_is_taken_to_stay() -> None:
    assert appetite.fit(10, [500], 20, [400]).bytes(1000) == appetite.fit(
        10, [500], 20, [500]
    ).bytes(1)


@given(st.integers(0, 3), st.integers(1, 50))
def test_unfinished_pictures_are_spread_and_never_the_last(previews: int, steps: int) -> None:
    shown = preview_steps(previews, steps)
    assert len(shown) <= previews and all(0 < step < steps for step in shown)
    assert sorted(set(shown)) == shown
    if steps > 2 * (previews + 1):
        assert len(shown) == previews
