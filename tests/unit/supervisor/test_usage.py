"""When a model was used last is known after a restart, and costs hardly a write."""

import json
import os
import stat
from pathlib import Path

import pytest
from support.deadline import eventually

from mlxd.supervisor.usage import Usage

LONG_S = 3600.0


def told(file: Path) -> dict[str, float]:
    """Return what the file says."""
    found: dict[str, float] = json.loads(file.read_bytes())["last_used"]
    return found


async def test_the_next_daemon_knows_what_this_one_saw(tmp_path: Path) -> None:
    file = tmp_path / "last_used.json"
    usage = Usage(file, pause=LONG_S)
    usage.note("a", 1.0)
    usage.note("b", 2.0)
    usage.note("a", 3.0)
    usage.close()
    again = Usage(file)
    assert [again.at(name) for name in ("a", "b", "c")] == [3.0, 2.0, None]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [file.name]


async def test_a_thousand_uses_in_a_row_are_one_write_now_and_one_later(tmp_path: Path) -> None:
    file = tmp_path / "last_used.json"
    usage = Usage(file, pause=LONG_S)
    for second in range(1000):
        usage.note("a", float(second))
    assert told(file) == {"a": 0.0}
    usage.close()
    assert told(file) == {"a": 999.0}


async def test_what_came_after_a_write_is_written_without_another_use(tmp_path: Path) -> None:
    file = tmp_path / "last_used.json"
    usage = Usage(file, pause=0.01)
    usage.note("a", 1.0)
    usage.note("a", 2.0)
    await eventually(lambda: told(file) == {"a": 2.0}, within=30, what="the second is written")
    usage.close()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2, "last_used": {}}', "\xff" * 9])
async def test_a_file_that_cannot_be_read_costs_nothing_else(tmp_path: Path, text: str) -> None:
    file = tmp_path / "last_used.json"
    file.write_text(text, encoding="latin-1")
    usage = Usage(file)
    assert usage.at("a") is None
    usage.note("a", 1.0)
    usage.close()
    assert told(file) == {"a": 1.0}


async def test_a_folder_that_is_gone_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    usage = Usage(tmp_path / "gone" / "last_used.json")
    usage.note("a", 1.0)
    usage.close()
    assert usage.at("a") == 1.0
    assert "times of use are not kept" in caplog.text


async def test_the_longest_unused_are_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "last_used.json"
    usage = Usage(file, pause=LONG_S)
    for number in range(2500):
        usage.note(f"m{number}", float(number))
    usage.close()
    assert len(told(file)) == 2000
    assert Usage(file).at("m499") is None and Usage(file).at("m500") == 500.0
