"""What a model needs is guessed from its folder, then known; a guess never refuses what fits."""

from hypothesis import given
from hypothesis import strategies as st

from mlxd.supervisor.budget.needs import (
    ALLOWED_TOKENS,
    LEAST_PROCESS_BYTES,
    PROCESS_BYTES,
    Cost,
    Size,
    need,
)

GB = 10**9
sizes = st.integers(0, 10**13)
costs = st.none() | st.builds(Cost, sizes, sizes)


def test_until_it_ran_a_model_needs_its_weights_a_process_and_room_for_some_tokens() -> None:
    guess = need(Size(4 * GB, 100_000, 40_960), None, 100 * GB)
    assert guess == 4 * GB + PROCESS_BYTES + ALLOWED_TOKENS * 100_000


def test_a_small_window_needs_no_more_than_itself() -> None:
    assert need(Size(GB, 1000, 512), None, 100 * GB) == GB + PROCESS_BYTES + 512_000


def test_once_it_ran_a_model_needs_what_it_took() -> None:
    size = Size(4 * GB, 100_000, 40_960)
    assert need(size, Cost(load_peak=6 * GB, steady=5 * GB), 100 * GB) == 6 * GB
    assert need(size, Cost(load_peak=5 * GB, steady=7 * GB), 100 * GB) == 7 * GB


@given(weights=sizes, per_token=sizes, cost=costs, budget=sizes)
def test_only_weights_beyond_the_budget_make_a_model_too_large(
    weights: int, per_token: int, cost: Cost | None, budget: int
) -> None:
    """Promise B7."""
    found = need(Size(weights, per_token, None), cost, budget)
    assert found >= weights + LEAST_PROCESS_BYTES
    assert (found > budget) == (weights + LEAST_PROCESS_BYTES > budget)


def test_remembered_prompts_are_expected_to_take_no_more_than_the_rows_at_work() -> None:
    size = Size(4 * GB, 100_000, 40_960, prompt_cache_bytes=GB // 2)
    plain = need(Size(4 * GB, 100_000, 40_960), None, 100 * GB)
    assert need(size, None, 100 * GB) == plain + GB // 2
    plenty = Size(4 * GB, 100_000, 40_960, prompt_cache_bytes=50 * GB)
    assert need(plenty, None, 100 * GB) == plain + 8192 * 100_000


def test_a_model_that_ran_on_short_prompts_only_still_gets_room_for_the_usual_ones() -> None:
    size = Size(4 * GB, 100_000, 40_960)
    cost = Cost(load_peak=5 * GB, steady=5 * GB, kv_bytes_per_token=200_000)
    rows = ALLOWED_TOKENS * 200_000  # what was measured, not what the folder states
    assert need(size, cost, 100 * GB) == 4 * GB + LEAST_PROCESS_BYTES + rows
