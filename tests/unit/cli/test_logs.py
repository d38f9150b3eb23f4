"""`mlxctl logs` shows the end of a log and goes on with it."""

import json
from pathlib import Path

import pytest
from support.ctl import Ctl
from support.scripted_http import Script
from support.statuses import entry

from mlxd.supervisor.cli import tail
from mlxd.supervisor.logs.logs import WorkerLog


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Give a log of 1000 lines."""
    path = tmp_path / "some.log"
    path.write_text("".join(f"line {number}\n" for number in range(1000)))
    return path


def test_the_last_lines_are_those_at_the_end(log: Path) -> None:
    assert tail.last_lines(log, 2) == ["line 998", "line 999"]
    assert tail.last_lines(log, 0) == []
    assert len(tail.last_lines(log, 5000)) == 1000


def test_lines_longer_than_a_block_come_whole(tmp_path: Path) -> None:
    path = tmp_path / "long.log"
    path.write_text("a" * 200_000 + "\n" + "b" * 200_000 + "\nc")
    assert tail.last_lines(path, 2) == ["b" * 200_000, "c"]


def test_what_stood_there_before_a_start_is_left_out(log: Path) -> None:
    before = log.stat().st_size
    with log.open("a") as file:
        file.write("new\n")
    assert tail.last_lines(log, 20, after=before) == ["new"]


def test_following_gives_new_lines_and_goes_on_after_a_rotation(log: Path) -> None:
    lines = tail.follow(log)
    with log.open("a") as file:
        file.write("a\nb\n")
    assert [next(lines), next(lines)] == ["a", "b"]
    log.rename(log.with_suffix(".old"))
    log.write_text("c\n")
    assert next(lines) == "c"


def test_the_daemons_log_is_shown_without_a_model(ctl: Ctl, alone: Path) -> None:
    folder = alone / "state" / "logs"
    folder.mkdir(parents=True)
    (folder / "mlxd.log").write_text("one\ntwo\nthree\n")
    assert ctl("logs", "-n", "2").stdout == "two\nthree\n"
    assert json.loads(ctl("logs", "--json").stdout)["lines"] == ["one", "two", "three"]


def test_a_model_that_never_ran_has_no_log(ctl: Ctl, alone: Path) -> None:
    done = ctl("logs", "mlx-community/absent")
    assert done.exit_code == 1
    assert done.stderr.startswith("mlxctl: there is no log")


def test_an_alias_finds_the_log_of_its_model(ctl: Ctl, daemon: Script, alone: Path) -> None:
    log = WorkerLog("mlx-community/Qwen3", alone / "state" / "logs")
    log.write(b"loaded\n")
    daemon.answer("GET /v1/models/qwen", entry(id="mlx-community/Qwen3"))
    assert ctl("logs", "qwen", "--url", daemon.url).stdout == "loaded\n"
    assert ctl("logs", "mlx-community/Qwen3").stdout == "loaded\n"
