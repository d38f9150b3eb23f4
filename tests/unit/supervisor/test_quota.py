"""A key gets its share of each minute, and hears when the next part of it comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxd.protocol.errors import RateLimited
from mlxd.supervisor.access.quota import Quota, Quotas, Shares


class Time:
    """Stand still unless told otherwise."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def refusal(quota: Quota) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        quota.admit()
    return caught.value


def test_a_minutes_requests_may_come_at_once_and_then_at_an_even_pace() -> None:
    time = Time()
    quota = Quota(Shares(requests_per_minute=6), time)
    for _ in range(6):
        quota.admit()
    assert refusal(quota).retry_after == pytest.approx(10.0)
    time.now = 10.0
    quota.admit()
    assert "6 requests per minute" in refusal(quota).message


def test_an_answer_may_cost_more_than_is_left_and_the_debt_is_waited_for() -> None:
    time = Time()
    quota = Quota(Shares(tokens_per_minute=60), time)
    quota.admit()
    quota.spend(100)
    assert refusal(quota).retry_after == pytest.approx(41.0)
    time.now = 41.0
    quota.admit()


def test_a_place_is_free_again_when_all_who_hold_it_let_go() -> None:
    quota = Quota(Shares(max_in_flight=1), Time())
    slot = quota.admit()
    slot.share()
    slot.release()
    assert refusal(quota).retry_after == 1.0
    slot.release()
    quota.admit()


def test_other_limits_count_from_now_on_and_what_runs_still_counts() -> None:
    quotas = Quotas(Time())
    slot = quotas.of("a", Shares(max_in_flight=2)).admit()
    tighter = quotas.of("a", Shares(max_in_flight=1))
    refusal(tighter)
    slot.release()
    tighter.admit()
    quotas.spend("nobody", 5)


@given(st.integers(1, 100), st.lists(st.tuples(st.floats(0, 30), st.integers(1, 5)), max_size=60))
def test_no_stretch_of_time_sees_more_than_a_minutes_worth_and_its_pace(
    limit: int, bursts: list[tuple[float, int]]
) -> None:
    time, admitted = Time(), 0
    quota = Quota(Shares(requests_per_minute=limit), time)
    for pause, count in bursts:
        time.now += pause
        for _ in range(count):
            try:
                quota.admit().release()
                admitted += 1
            except RateLimited as error:
                assert error.retry_after is not None and 0 < error.retry_after <= 60 / limit + 1e-6
    assert admitted <= limit + time.now * limit / 60 + 1e-6
