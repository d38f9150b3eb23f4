"""Which entry goes first."""

from dataclasses import dataclass

from mlxd.workers.prompt_cache.eviction_order import EvictionOrder, Kind


@dataclass(eq=False)
class Thing:
    kind: Kind
    nbytes: int


def order(*things: Thing) -> EvictionOrder[Thing]:
    line: EvictionOrder[Thing] = EvictionOrder()
    for thing in things:
        line.add(thing)
    return line


def test_the_least_recently_used_goes_first() -> None:
    one, two = Thing(Kind.ROW, 1), Thing(Kind.PREFILL, 1)
    line = order(one, two)
    assert line.victim(100) is one
    line.touch(one)
    assert line.victim(100) is two


def test_a_system_prompt_outlives_what_was_used_after_it() -> None:
    system, row = Thing(Kind.SYSTEM, 40), Thing(Kind.ROW, 40)
    assert order(system, row).victim(100) is row


def test_system_prompts_that_fill_more_than_half_go_first() -> None:
    system, row = Thing(Kind.SYSTEM, 60), Thing(Kind.ROW, 40)
    assert order(system, row).victim(100) is system


def test_a_system_prompt_goes_when_nothing_else_is_left() -> None:
    system = Thing(Kind.SYSTEM, 1)
    assert order(system).victim(100) is system


def test_the_one_to_spare_never_goes() -> None:
    system, row = Thing(Kind.SYSTEM, 1), Thing(Kind.ROW, 1)
    assert order(system, row).victim(100, row) is system
    assert order(row).victim(100, row) is None


def test_a_demoted_entry_goes_first() -> None:
    one, two = Thing(Kind.ROW, 1), Thing(Kind.ROW, 1)
    line = order(one, two)
    line.demote(two)
    assert line.victim(100) is two


def test_bytes_follow_every_change() -> None:
    one, two = Thing(Kind.ROW, 10), Thing(Kind.ROW, 5)
    line = order(one, two)
    line.resize(one, 7)
    line.relabel(one, Kind.SYSTEM)
    assert (line.nbytes, one.nbytes, len(line)) == (12, 7, 2)
    line.remove(one)
    assert line.nbytes == 5
