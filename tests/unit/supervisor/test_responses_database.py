"""Responses and conversations are kept within bounds, by use, and survive what happens to files."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from support.full_disk import full_disk

from mlxd.config.settings import Responses as Limits
from mlxd.protocol.errors import DiskFull
from mlxd.supervisor.responses.database import Database, Record
from mlxd.supervisor.responses.items import Item
from mlxd.supervisor.responses.store import ResponseStore

MANY = 1 << 40


def database(path: Path | None = None, *, stored: int = 100, size: int = MANY) -> Database:
    return Database(path, max_stored=stored, max_bytes=size)


@pytest.fixture
def db() -> Iterator[Database]:
    found = database()
    yield found
    found.close()


def record(
    name: str,
    *,
    previous: str | None = None,
    conversation: str | None = None,
    status: str = "completed",
    size: int = 1,
) -> Record:
    return Record(
        id=name,
        body=msgspec.json.encode({"id": name, "status": status, "x": "x" * size}),
        status=status,
        previous=previous,
        conversation=conversation,
        inputs=[Item(f"{name}-in", f"{name}?".encode())],
        outputs=[Item(f"{name}-out", f"{name}!".encode())] if status == "completed" else [],
    )


def test_a_chain_is_read_from_its_beginning(db: Database) -> None:
    db.save(record("a"))
    db.save(record("b", previous="a"))
    db.save(record("c", previous="b"))
    assert db.context("c") == [b"a?", b"a!", b"b?", b"b!", b"c?", b"c!"]
    assert db.context("b", inputs_only=True) == [b"a?", b"a!", b"b?"]
    assert db.context("nobody") is None


def test_a_chain_with_a_link_gone_is_no_chain(db: Database) -> None:
    db.save(record("a"))
    db.save(record("b", previous="a"))
    assert db.delete_response("a")
    assert not db.delete_response("a")
    assert db.response("b") is not None
    assert db.context("b") is None


def test_what_is_saved_again_replaces_what_was(db: Database) -> None:
    db.save(record("a", status="in_progress"))
    assert db.context("a") == [b"a?"]
    db.save(record("a"))
    assert db.context("a") == [b"a?", b"a!"]
    found = db.response("a")
    assert found is not None
    assert msgspec.json.decode(found)["status"] == "completed"


def test_items_are_found_by_id_and_the_newest_wins(db: Database) -> None:
    db.save(record("a"))
    assert db.item("a-out") == b"a!"
    db.put_conversation("talk", b"{}")
    db.append("talk", [Item("a-out", b"newer")])
    assert db.item("a-out") == b"newer"
    assert db.item("nobody") is None


def test_a_conversation_grows_with_finished_responses_only(db: Database) -> None:
    db.put_conversation("talk", b"{}")
    db.save(record("a", conversation="talk", status="queued"))
    assert db.conversation_items("talk") == []
    assert db.context("a") == [b"a?"]
    db.save(record("a", conversation="talk"))
    db.save(record("b", conversation="talk"))
    assert db.conversation_items("talk") == [b"a?", b"a!", b"b?", b"b!"]
    assert db.context("a") == [b"a?", b"a!"]
    assert db.context("b", inputs_only=True) == [b"a?", b"a!", b"b?"]
    assert db.remove("talk", "a-out")
    assert not db.remove("talk", "a-out")
    assert db.context("b") == [b"a?", b"b?", b"b!"]


def test_without_its_conversation_a_response_has_no_context(db: Database) -> None:
    db.put_conversation("talk", b"{}")
    db.save(record("a", conversation="talk"))
    assert db.delete_conversation("talk")
    assert db.context("a") is None
    assert db.response("a") is not None
    db.save(record("b", conversation="talk"))
    assert db.context("b") == [b"b?", b"b!"]
    assert not db.append("talk", [])
    assert db.conversation_items("talk") is None


def test_an_id_of_the_other_kind_is_unknown(db: Database) -> None:
    db.put_conversation("talk", b"{}")
    db.save(record("a"))
    assert db.response("talk") is None
    assert db.conversation("a") is None
    assert not db.delete_response("talk")
    assert not db.delete_conversation("a")
    assert db.context("talk") is None


def test_metadata_is_replaced_and_items_stay(db: Database) -> None:
    db.put_conversation("talk", b"{}")
    db.append("talk", [Item("i", b"item")])
    db.put_conversation("talk", b'{"a":1}')
    assert db.conversation("talk") == b'{"a":1}'
    assert db.conversation_items("talk") == [b"item"]


def test_the_one_not_used_for_longest_goes_when_there_are_too_many() -> None:
    with closing(database(stored=3)) as db:
        for name in ("a", "b", "c"):
            db.save(record(name))
        db.context("a")
        db.save(record("d"))
        kept = [name for name in ("a", "b", "c", "d") if db.response(name)]
        assert kept == ["a", "c", "d"]


def test_using_a_chain_uses_all_of_it() -> None:
    with closing(database(stored=4)) as db:
        db.save(record("root"))
        db.save(record("x"))
        db.save(record("y"))
        db.save(record("leaf", previous="root"))
        db.context("leaf")
        for name in ("new", "newer"):
            db.save(record(name))
        assert db.context("leaf") == [b"root?", b"root!", b"leaf?", b"leaf!"]


def test_bytes_are_bounded_too_those_of_conversations_included() -> None:
    with closing(database(size=10_000)) as db:
        db.put_conversation("talk", b"{}")
        db.append("talk", [Item("i", b"x" * 6000)])
        db.save(record("a", size=3000))
        assert db.conversation("talk") is not None
        db.save(record("b", size=3000))
        assert db.conversation("talk") is None
        assert db.item("i") is None
        assert db.response("a") is not None
        db.save(record("giant", size=20_000))
        assert db.response("giant") is None


def test_what_still_runs_is_never_dropped_for_room() -> None:
    with closing(database(stored=1)) as db:
        db.save(record("runs", status="in_progress"))
        db.save(record("a"))
        assert db.response("runs") is not None
        db.save(record("runs"))
        assert db.response("runs") is not None


def test_a_file_keeps_everything_and_belongs_to_its_user(tmp_path: Path) -> None:
    file = tmp_path / "responses.db"
    with closing(database(file)) as db:
        db.save(record("a"))
        db.save(record("runs", status="queued"))
    assert file.stat().st_mode & 0o777 == 0o600
    with closing(database(file)) as db:
        assert db.context("a") == [b"a?", b"a!"]
        found = db.response("runs")
        assert found is not None
        assert msgspec.json.decode(found)["status"] == "failed"
        assert msgspec.json.decode(found)["error"]["code"] == "server_error"


def test_smaller_bounds_hold_from_the_start(tmp_path: Path) -> None:
    file = tmp_path / "responses.db"
    with closing(database(file)) as db:
        for name in ("a", "b", "c"):
            db.save(record(name))
    with closing(database(file, stored=1)) as db:
        assert [name for name in ("a", "b", "c") if db.response(name)] == ["c"]


@pytest.mark.parametrize("damage", ["nonsense", "newer", "foreign", "cut"])
def test_a_file_that_cannot_be_read_is_put_aside(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "responses.db"
    if damage == "nonsense":
        file.write_bytes(b"not a database at all" * 500)
    else:
        with closing(database(file)) as db:
            db.save(record("a", size=50_000))
        with closing(sqlite3.connect(file)) as raw:
            if damage == "newer":
                raw.execute("PRAGMA user_version = 99")
            elif damage == "foreign":
                raw.execute("DROP TABLE items")
                raw.commit()
        if damage == "cut":
            file.write_bytes(file.read_bytes()[:5000])
    with closing(database(file)) as db:
        assert db.response("a") is None
        db.save(record("b"))
        assert db.response("b") is not None
    assert (tmp_path / "responses.broken").exists()


def test_a_file_that_a_full_disk_keeps_from_being_opened_is_not_broken(tmp_path: Path) -> None:
    """Regression: it was put aside like one that is none of ours, and all conversations were gone for good."""
    file = tmp_path / "responses.db"
    with closing(database(file)) as db:
        db.save(record("a"))
    with full_disk(), pytest.raises(sqlite3.OperationalError):
        database(file)
    with closing(database(file)) as db:
        assert db.response("a") is not None
    assert not file.with_suffix(".broken").exists()


async def test_who_wants_something_kept_is_told_that_the_disk_is_full(tmp_path: Path) -> None:
    """Regression: the answer to that was something unforeseen; and with room again all is as before."""
    store = ResponseStore(tmp_path / "responses.db", Limits(max_stored=9, max_bytes=MANY))
    await store.run(lambda db: db.save(record("a")))
    with full_disk(), pytest.raises(DiskFull, match="nothing can be kept"):
        await store.run(lambda db: db.save(record("b", size=100_000)))
    await store.run(lambda db: db.save(record("c")))
    kept = await store.run(lambda db: [db.response(name) is not None for name in "abc"])
    await store.close()
    assert kept == [True, False, True]


def test_what_is_deleted_is_not_left_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "responses.db"
    with closing(database(file)) as db:
        secret = Item("s", b"the secret recipe")
        db.save(Record(id="a", body=b"{}", status="completed", inputs=[secret]))
        db.delete_response("a")
    assert b"secret recipe" not in file.read_bytes()
