"""API keys are kept as digests, found by them, and read again when the file changes."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.full_disk import full_disk

from mlxd.protocol.errors import ConfigError, DiskFull, InvalidRequest, ObjectNotFound
from mlxd.protocol.keys import KeyRequest, Right
from mlxd.supervisor.access import key_record, keys
from mlxd.supervisor.access.key_record import KeyRecord, digest_of
from mlxd.supervisor.access.keys import Keys, Ring


def book(folder: Path, at: float = 1000.0) -> Keys:
    return Keys(folder / keys.FILE, clock=lambda: at)


def test_the_file_holds_a_digest_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    made = book(tmp_path).add(KeyRequest(name="laptop"))
    path = tmp_path / keys.FILE
    assert made.key not in path.read_text()
    assert digest_of(made.key).hex() in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [keys.FILE]


def test_a_full_disk_is_named_and_leaves_the_keys_as_they_were(tmp_path: Path) -> None:
    """Regression: whoever made a key was told of something unforeseen, and half a file stayed behind."""
    own = book(tmp_path)
    made = own.add(KeyRequest(name="laptop"))
    with full_disk(), pytest.raises(DiskFull, match=f"{keys.FILE} cannot be written"):
        own.add(KeyRequest(name="other"))
    assert [record.name for record in own.ring().records] == ["laptop"]
    assert own.ring().by_digest(digest_of(made.key)) is not None
    assert os.listdir(tmp_path) == [keys.FILE]


def test_a_time_beyond_all_calendars_does_not_end(tmp_path: Path) -> None:
    """Regression: `mlxctl keys list` broke off at such a key, and showed no other either."""
    assert book(tmp_path).add(KeyRequest(name="a", expires_in=1e300)).info.expires_at is None
    assert book(tmp_path).add(KeyRequest(name="b", expires_in="36500d")).info.expires_at


def test_another_process_sees_a_change_at_once(tmp_path: Path) -> None:
    daemon, other = book(tmp_path), book(tmp_path)
    assert daemon.ring().records == ()
    key = other.add(KeyRequest(name="laptop", rights=(Right.ADMIN,), expires_in="1h")).key
    (found,) = daemon.ring().records
    assert daemon.ring().by_digest(digest_of(key)) == found
    assert (found.expires_at, found.is_expired(4599.0), found.is_expired(4600.0)) == (4600.0, 0, 1)
    other.revoke("laptop")
    assert daemon.ring().by_digest(digest_of(key)) is None


def test_a_rotated_key_keeps_all_but_itself(tmp_path: Path) -> None:
    own = book(tmp_path)
    old = own.add(KeyRequest(name="laptop", models=("a",)))
    fresh = own.rotate("laptop")
    assert fresh.info == old.info and fresh.key != old.key
    assert own.ring().by_digest(digest_of(old.key)) is None
    assert own.ring().by_digest(digest_of(fresh.key)) is not None


def test_an_old_key_lives_as_long_as_its_grace_and_no_longer(tmp_path: Path) -> None:
    """Given a key, when it is rotated twice with a grace, then each old one ends at its own time."""
    own = book(tmp_path)
    first = own.add(KeyRequest(name="laptop", models=("a",)))
    second = own.rotate("laptop", "10m")
    assert (second.info.old_until, second.info.id) == (1600.0, first.info.id)
    later = book(tmp_path, at=1300.0)
    third = later.rotate("laptop", 60)
    ring = later.ring()
    ends = {first.key: 1600.0, second.key: 1360.0}
    for key, end in ends.items():
        assert ring.by_digest(digest_of(key)) is None
        found = ring.by_old_digest(digest_of(key), end - 1)
        assert found is not None and found.models == ("a",)
        assert ring.by_old_digest(digest_of(key), end) is None
    assert ring.by_digest(digest_of(third.key)) is not None
    assert third.info.old_until == 1600.0
    assert first.key not in (tmp_path / keys.FILE).read_text()


def test_a_rotation_without_grace_ends_the_older_ones_too(tmp_path: Path) -> None:
    own = book(tmp_path)
    first = own.add(KeyRequest(name="laptop"))
    own.rotate("laptop", "10m")
    assert own.rotate("laptop").info.old_until is None
    assert own.ring().by_old_digest(digest_of(first.key), 1001.0) is None


@pytest.mark.parametrize("grace", ["soon", "never", -1])
def test_a_grace_is_a_time_that_ends(tmp_path: Path, grace: str | int) -> None:
    own = book(tmp_path)
    key = own.add(KeyRequest(name="laptop")).key
    with pytest.raises(InvalidRequest, match="grace: expected"):
        own.rotate("laptop", grace)
    assert own.ring().by_digest(digest_of(key)) is not None


def test_a_key_that_signs_opens_nothing_when_it_is_shown(tmp_path: Path) -> None:
    own = book(tmp_path)
    made = own.add(KeyRequest(name="robot", signed=True))
    assert own.ring().by_digest(digest_of(made.key)) is None
    assert own.ring().signer("robot") == own.ring().signer(made.info.id) is not None


@pytest.mark.parametrize("name", ["laptop", "anyone", "mlxctl", "server.api_key"])
def test_a_name_is_one_keys_only(tmp_path: Path, name: str) -> None:
    own = book(tmp_path)
    own.add(KeyRequest(name="laptop"))
    with pytest.raises(InvalidRequest, match="taken"):
        own.add(KeyRequest(name=name))


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    own = book(tmp_path)
    with pytest.raises(InvalidRequest, match="expires_in"):
        own.add(KeyRequest(name="a", expires_in="soon"))
    with pytest.raises(InvalidRequest, match="rights"):
        own.add(KeyRequest(name="a", rights=()))
    for act in (own.revoke, own.rotate):
        with pytest.raises(ObjectNotFound, match="'nobody'"):
            act("nobody")


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_text("{")])
def test_a_file_that_is_gone_or_broken_lets_nobody_else_in(
    tmp_path: Path, spoil: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    own = book(tmp_path)
    own.add(KeyRequest(name="laptop"))
    spoil(tmp_path / keys.FILE)
    assert [record.name for record in own.ring().records] == ["laptop"]
    assert "keys stay as they were" in caplog.text


@pytest.mark.parametrize("text", ["{", '{"keys": [{}]}', '{"version": 2}', '{"keys": 1}'])
def test_a_broken_file_keeps_the_daemon_from_starting(tmp_path: Path, text: str) -> None:
    (tmp_path / keys.FILE).write_text(text)
    with pytest.raises(ConfigError, match=keys.FILE):
        book(tmp_path)


class _Counted(bytes):
    """Count how often a digest is compared byte by byte."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        type(self).compared += 1
        return bytes(self) == other

    def __hash__(self) -> int:
        return hash(bytes(self))


def test_what_a_wrong_key_shares_with_a_right_one_is_gone_before_anything_is_compared() -> None:
    """Given a right key, when others share more and more of its beginning, then their digests share nothing.

    All that is done with a key before it is accepted is to take its digest, in one pass over all of it, and to look
    that up: what the table compares does not depend on how much of the key was right.
    """
    key = key_record.new_secret()
    record = KeyRecord(id="key_1", name="a", digest=digest_of(key).hex(), created_at=0.0)
    ring = Ring([record])
    shared_bits = []
    for length in range(len(key)):
        wrong = key[:length] + ("x" if key[length] != "x" else "y") + key[length + 1 :]
        digest = _Counted(digest_of(wrong))
        _Counted.compared = 0
        assert ring.by_digest(digest) is None
        assert _Counted.compared == 0, "a digest that is not there is not compared at all"
        differing = int.from_bytes(digest) ^ int.from_bytes(digest_of(key))
        shared_bits.append(256 - differing.bit_count())
    right = _Counted(digest_of(key))
    assert ring.by_digest(right) == record
    # Of 256 bits, 128 agree by chance; 80 or 176 would happen once in 10^9 tries.
    assert all(80 < bits < 176 for bits in shared_bits)


def test_info_tells_nothing_that_opens_anything() -> None:
    record = KeyRecord(id="key_1", name="a", digest="ab" * 32, created_at=0.0)
    assert record.digest not in str(record.info(0.0))
    assert replace(record, expires_at=1.0).info(1.0).expired
