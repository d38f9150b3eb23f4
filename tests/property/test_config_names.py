"""Names mean what the rule says, checked against the rule written down naively."""

from fnmatch import fnmatchcase
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mlxd.config.names import Names
from mlxd.config.settings import is_pattern
from mlxd.config.spec import ModelSpec
from mlxd.protocol.kinds import ModelKind

NAME = st.text("ab-/", min_size=1, max_size=4)
PATTERN = st.text("ab-/*?", min_size=1, max_size=4).filter(is_pattern)
OWNERS = st.lists(st.lists(NAME | PATTERN, max_size=4), max_size=6)


def spec(number: int) -> ModelSpec:
    """Return a model told from others by its id."""
    return ModelSpec(
        id=str(number),
        kind=ModelKind.TEXT,
        path=Path(),
        idle_timeout=1,
        max_batch=1,
        weights_bytes=1,
        source="config",
    )


def naively(owners: list[list[str]], wanted: str) -> int | None:
    """Return the first exact owner, else that of the longest pattern, the first of equally long ones."""
    for number, names in enumerate(owners):
        if wanted in names and not is_pattern(wanted):
            return number
    matching = [
        (-len(name), number)
        for number, names in enumerate(owners)
        for name in names
        if is_pattern(name) and fnmatchcase(wanted, name)
    ]
    return min(matching)[1] if matching else None


@given(OWNERS, NAME)
def test_a_name_means_the_model_the_rule_gives_it(owners: list[list[str]], wanted: str) -> None:
    names = Names()
    for number, owned in enumerate(owners):
        names.add(spec(number), owned)
    found = names.find(wanted)
    assert (None if found is None else int(found.id)) == naively(owners, wanted)


@given(OWNERS, st.text(max_size=8))
def test_near_names_are_names_that_exist(owners: list[list[str]], wanted: str) -> None:
    names = Names()
    for number, owned in enumerate(owners):
        names.add(spec(number), owned, listed=number % 2 == 0)
    near = names.near(wanted)
    assert len(near) <= 3
    assert set(near) <= set(names.listed())
    assert all(names.find(name) is not None for name in near)
    assert not any(map(is_pattern, names.listed()))
