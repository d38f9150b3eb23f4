"""What is recommended has names that can exist, and sizes that follow from its parameters and bits."""

import re

import pytest

from mlxd.config.load import load
from mlxd.config.recommended import Recommended, read
from mlxd.protocol.kinds import ModelKind
from mlxd.supervisor.downloads.files import parse_repo
from mlxd.supervisor.downloads.fit import fits

LIST = read()
GPU_SHARE = 0.75
"""What macOS lets the GPU have of a machine's memory."""


@pytest.fixture(params=LIST.models, ids=lambda one: one.model)
def one(request: pytest.FixtureRequest) -> Recommended:
    """Give each entry."""
    found: Recommended = request.param
    return found


def test_the_list_is_dated_in_order_and_names_nothing_twice() -> None:
    assert LIST.as_of.year >= 2026
    kinds = list(ModelKind)
    order = [(kinds.index(one.kind), one.weights_bytes) for one in LIST.models]
    assert order == sorted(order)
    assert len({one.model for one in LIST.models}) == len(LIST.models)


def test_a_name_is_one_of_the_hubs_with_an_organisation(one: Recommended) -> None:
    assert parse_repo(one.model) == (one.model, None)
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", one.model)
    assert one.about and not one.about.endswith(".")


def test_a_size_lies_within_what_parameters_and_bits_imply(one: Recommended) -> None:
    least, most = one.implied_bytes()
    assert least <= one.weights_bytes <= most, (least, one.weights_bytes, most)
    assert 0 <= one.unquantized < one.billions


def test_parameters_and_bits_agree_with_what_the_name_says(one: Recommended) -> None:
    name = one.model.partition("/")[2]
    named_bits = {"4bit": 4, "MXFP4": 4, "8bit": 8, "bf16": 16, "fp16": 16}
    assert one.bits in [bits for word, bits in named_bits.items() if word in name] or (
        one.bits == 16 and not any(word in name for word in named_bits)
    )
    if found := re.search(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)([BMb])(?![A-Za-z0-9])", name):
        named = float(found[1]) * (0.001 if found[2] == "M" else 1.0)
        # Towers for pictures are often left out of the name.
        assert named * 0.95 <= one.billions <= named * 1.3


def test_the_machine_it_is_said_to_be_for_holds_it(one: Recommended) -> None:
    """Given nothing but defaults, when a machine has the memory that the entry names, then the model fits."""
    budget = load(None, {}).memory.budget_bytes
    for memory in map(int, re.findall(r"for (\d+) GB", one.about)):
        assert fits(one.weights_bytes, budget(int(memory * 1e9 * GPU_SHARE)))
