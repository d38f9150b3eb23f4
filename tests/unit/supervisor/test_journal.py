"""The event log numbers, keeps, shows again and hands on; nothing that goes wrong on disk stops the daemon."""

from pathlib import Path

import msgspec
from support.pools import soon

from mlxd.protocol.journal import DaemonStarted, ModelPinned, decoder
from mlxd.supervisor.logs.journal import Journal


def pinned(name: str = "a") -> ModelPinned:
    """Return some entry."""
    return ModelPinned(model=name, pinned=True)


def test_entries_are_numbered_dated_and_remembered_over_restarts(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    first = Journal(file)
    first.note(DaemonStarted(version="1", pid=7))
    first.note(pinned())
    second = Journal(file)
    second.note(pinned("b"))
    assert [entry.seq for entry in second.last(10)] == [1, 2, 3]
    assert all(entry.at > 0 for entry in second.last(10))
    assert second.after(2) == second.last(1)
    assert second.last(0) == []
    lines = file.read_bytes().splitlines()
    assert [decoder.decode(line) for line in lines] == second.last(10)
    assert msgspec.json.decode(lines[1])["event"] == "model_pinned"
    assert file.stat().st_mode & 0o077 == 0


def test_the_file_rotates_and_the_numbers_go_on(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    journal = Journal(file, file_bytes=200)
    for _ in range(40):
        journal.note(pinned())
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) <= 3 and max(sizes) < 400
    assert Journal(file, file_bytes=200).last(1)[0].seq == 40


def test_lines_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    Journal(file).note(pinned())
    whole = file.read_bytes()
    file.write_bytes(b'{"event":"from another version","seq":9}\n\xff\n' + whole + whole[:20])
    assert [entry.seq for entry in Journal(file).last(10)] == [1]


def test_a_disk_that_takes_nothing_stops_nobody(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.touch()
    journal = Journal(taken / "events.jsonl")
    journal.note(pinned())
    assert [entry.seq for entry in journal.last(10)] == [1]


async def test_followers_hear_all_from_now_on_until_it_closes() -> None:
    journal = Journal()
    journal.note(pinned("before"))
    with journal.follow() as follower:
        journal.note(pinned("after"))
        entry = await soon(follower.next())
        assert isinstance(entry, ModelPinned) and entry.model == "after"
        journal.close()
        assert await soon(follower.next()) is None
    with journal.follow() as late:
        assert await soon(late.next()) is None


async def test_a_follower_that_does_not_read_is_cut_off_and_holds_no_memory() -> None:
    journal = Journal()
    with journal.follow() as follower:
        for _ in range(5000):
            journal.note(pinned())
        taken = 0
        while await soon(follower.next()) is not None:
            taken += 1
        assert taken == 1000
