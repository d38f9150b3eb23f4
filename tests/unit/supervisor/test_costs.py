"""What models took outlives the daemon, and no damage to the file stops it."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.pools import model

from mlxd.supervisor.budget.costs import Costs
from mlxd.supervisor.budget.needs import Cost

COST = Cost(load_peak=30, steady=20, seconds_per_byte=0.5)


def test_the_next_daemon_knows_what_this_one_learnt(tmp_path: Path) -> None:
    file = tmp_path / "costs.json"
    Costs(file).learn(model("a"), COST)
    assert Costs(file).of(model("a")) == COST
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("change", [{"weights_bytes": 7}, {"revision": "c0ffee"}, {"created": 9}])
def test_another_state_of_the_files_is_another_model(change: dict[str, Any]) -> None:
    costs = Costs()
    costs.learn(model("a"), COST)
    assert costs.of(model("a", **change)) is None
    assert costs.of(model("another name")) == COST


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"\xff", b"[]", b'{"version": 1}', b"[" * 100_000,
        json.dumps({"version": 2, "costs": {}}).encode(),
        json.dumps({"version": 1, "costs": {"a": {"load_peak": "x", "steady": 1}}}).encode(),
    ],
)  # fmt: skip
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "costs.json"
    file.write_bytes(content)
    costs = Costs(file)
    assert costs.of(model("a")) is None
    costs.learn(model("a"), COST)
    assert Costs(file).of(model("a")) == COST


def test_nonsense_in_a_sound_file_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "costs.json"
    Costs(file).learn(model("a"), Cost(load_peak=-1, steady=20))
    assert Costs(file).of(model("a")) is None


def test_a_folder_that_takes_no_file_costs_nothing_but_the_memory(tmp_path: Path) -> None:
    costs = Costs(tmp_path / "absent" / "costs.json")
    costs.learn(model("a"), COST)
    assert costs.of(model("a")) == COST


def test_of_many_models_those_that_ran_last_are_remembered(tmp_path: Path) -> None:
    file = tmp_path / "costs.json"
    costs = Costs(file)
    for number in range(300):
        costs.learn(model("a", weights_bytes=number), Cost(number, number))
    again = Costs(file)
    assert again.of(model("a", weights_bytes=43)) is None
    assert again.of(model("a", weights_bytes=44)) == Cost(44, 44)
