"""A key that floods a model does not keep another key from it."""

from support.launcher import FakeLauncher
from support.pools import Request, make_pool, model, settle

from mlxd.supervisor.access import tenant
from mlxd.supervisor.access.tenant import Caller, Tenant
from mlxd.supervisor.scheduling.pool import Pool


def request_of(key: str, pool: Pool) -> Request:
    """Ask for the model on behalf of a key."""
    tenant.begin(Caller(Tenant(id=key)))
    return Request(pool, model("a", max_batch=2))


async def test_a_second_key_gets_the_next_place_before_the_rest_of_the_firsts_flood() -> None:
    """Given ten requests of one key, when another key asks, then it goes next, for a batch of 2 takes 3 at a time."""
    pool = make_pool(FakeLauncher())
    flood = [request_of("a", pool) for _ in range(10)]
    late = request_of("b", pool)
    await late.lease()
    await settle()
    assert [request.granted.done() for request in flood] == [True] * 2 + [False] * 8
    await flood[0].end()
    await flood[2].lease()
    await late.end()
    for request in flood[1:]:
        await request.lease()
        await request.end()


async def test_one_key_alone_gets_all_it_asks_for_at_once() -> None:
    pool = make_pool(FakeLauncher())
    flood = [request_of("a", pool) for _ in range(10)]
    for request in flood:
        await request.lease()
