"""Where a prefill stops."""

from mlxd.workers.prompt_cache.checkpoints import Checkpoint, plan
from mlxd.workers.prompt_cache.eviction_order import Kind


def test_a_trimmable_state_is_kept_at_the_end_of_the_prefill_only() -> None:
    found = plan(100, ends=(20, 60, 95), system=20, trimmable=True)
    assert found == (Checkpoint(99, Kind.PREFILL),)


def test_other_states_are_kept_after_the_system_prompt_and_the_newest_messages() -> None:
    found = plan(200, ends=(20, 60, 90, 150, 195), system=20, trimmable=False)
    assert found == (
        Checkpoint(20, Kind.SYSTEM),
        Checkpoint(150, Kind.MESSAGE),
        Checkpoint(195, Kind.MESSAGE),
    )


def test_a_prompt_without_known_messages_is_kept_at_its_end() -> None:
    assert plan(50, trimmable=False) == (Checkpoint(49, Kind.PREFILL),)


def test_a_long_tail_after_the_last_message_is_kept_too() -> None:
    found = plan(100, ends=(50,), trimmable=False)
    assert found == (Checkpoint(50, Kind.MESSAGE), Checkpoint(99, Kind.PREFILL))


def test_nothing_is_kept_where_nothing_is_computed() -> None:
    assert plan(100, ends=(50, 99), system=20, cached=99, trimmable=False) == ()
    assert plan(100, cached=99, trimmable=True) == ()


def test_only_what_comes_after_the_cached_tokens_is_kept() -> None:
    found = plan(100, ends=(40, 60, 95), system=20, cached=60, trimmable=False)
    assert found == (Checkpoint(95, Kind.MESSAGE),)


def test_a_message_that_ends_with_the_prompt_is_kept_one_token_short() -> None:
    """The last token is fed to get the reply, it is never prefilled."""
    found = plan(100, ends=(40, 100), trimmable=False)
    assert found == (Checkpoint(40, Kind.MESSAGE), Checkpoint(99, Kind.PREFILL))
