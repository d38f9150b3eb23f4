"""A worker gets the budget, and a tenth of it for buffers it may reuse."""

from mlxd.supervisor.grants import Grant, grant

GB = 10**9


def test_a_worker_gets_the_budget_and_a_tenth_of_it_for_its_cache() -> None:
    assert grant(48 * GB) == Grant(memory_bytes=48 * GB, cache_bytes=48 * GB // 10)


def test_a_grant_is_whole_bytes() -> None:
    found = grant(7)
    assert (found.memory_bytes, found.cache_bytes) == (7, 0)
    assert isinstance(found.cache_bytes, int)
