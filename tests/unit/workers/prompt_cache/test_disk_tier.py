"""States on disk."""

import logging
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support import states

from mlxd.workers.prompt_cache import caches
from mlxd.workers.prompt_cache.disk_tier import FAILURES, DiskTier
from mlxd.workers.prompt_cache.eviction_order import Kind
from mlxd.workers.prompt_cache.packing import head, pack, unpack
from mlxd.workers.prompt_cache.snapshot import Snapshot

PLENTY = 1 << 30
FOREVER = 60.0


def state(
    tokens: Sequence[int], kind: Kind = Kind.ROW, make: Any = states.attention, tenant: str = ""
) -> Snapshot:
    taken = Snapshot.take(pack(tokens), make(tokens), kind, tenant)
    assert taken is not None
    return taken


def tier(folder: Path, limit: int = PLENTY, *, fingerprint: str = "model") -> DiskTier:
    return DiskTier(folder / "disk", fingerprint, limit, keep_free=0)


def write(disk: DiskTier, *wanted: Snapshot) -> None:
    for one in wanted:
        work = disk.write(one)
        assert work.run(FOREVER)


def served(disk: DiskTier, prompt: Sequence[int], make: Any = states.attention) -> int:
    """Return how many tokens of a prompt are on disk, after making sure that the state read is theirs."""
    match = disk.match(pack(prompt))
    if match is None:
        return 0
    work = disk.read(match.entry)
    assert work.run(FOREVER)
    if work.result is None:
        return 0
    assert head(work.result.tokens, match.length) == head(pack(prompt), match.length)
    read = caches.fold(work.result.shape, work.result.leaves)
    assert states.contents(read) == states.contents(make(unpack(work.result.tokens)))
    return match.length


def files(folder: Path) -> list[Path]:
    return sorted((folder / "disk").glob("*.safetensors"))


def all_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "disk").rglob("*") if path.is_file())


def test_a_state_outlives_the_process_that_wrote_it(tmp_path: Path) -> None:
    write(tier(tmp_path), state(range(30)), state(range(50, 90), make=states.hybrid))
    again = tier(tmp_path)
    assert served(again, [*range(30), 1]) == 30
    assert served(again, [*range(50, 90), 1], states.hybrid) == 40
    assert again.stats().entries == 2


def test_another_process_is_seen_without_a_restart(tmp_path: Path) -> None:
    one, other = tier(tmp_path), tier(tmp_path)
    write(one, state(range(30)))
    assert served(other, [*range(30), 1]) == 30
    write(other, state(range(30, 60)))
    assert served(one, [*range(30, 60), 1]) == 30


def test_a_file_that_another_process_removed_is_a_miss(tmp_path: Path) -> None:
    disk = tier(tmp_path)
    write(disk, state(range(30)))
    match = disk.match(pack([*range(30), 1]))
    assert match is not None
    files(tmp_path)[0].unlink()
    work = disk.read(match.entry)
    assert work.run(FOREVER) and work.result is None
    assert disk.stats().entries == 0 and disk.stats().quarantined == 0


def test_the_limit_holds_and_the_least_recently_used_goes(tmp_path: Path) -> None:
    one = state(range(100))
    limit = 4 * (one.nbytes + 2_000)
    disk = tier(tmp_path, limit)
    write(disk, one)
    for number in range(1, 10):
        write(disk, state(range(number * 1000, number * 1000 + 100)))
        assert all_bytes(tmp_path) <= limit
        assert served(disk, [*range(100), 1]) == 100
    assert disk.stats().evicted >= 5
    assert served(disk, [*range(1000, 1100), 1]) == 0


def test_the_order_of_use_outlives_the_process(tmp_path: Path) -> None:
    first, second = state(range(100)), state(range(1000, 1100))
    limit = 2 * (first.nbytes + 2_000)
    disk = tier(tmp_path, limit)
    write(disk, first, second)
    disk.touch(first.tokens)
    again = tier(tmp_path, limit)
    write(again, state(range(2000, 2100)))
    assert served(again, [*range(100), 1]) == 100
    assert served(again, [*range(1000, 1100), 1]) == 0


def test_a_state_larger_than_the_limit_or_the_free_space_is_not_written(tmp_path: Path) -> None:
    disk = tier(tmp_path, 1_000)
    write(disk, state(range(100)))
    full = DiskTier(tmp_path / "disk", "model", PLENTY, keep_free=1 << 60)
    write(full, state(range(100)))
    assert files(tmp_path) == []


def test_a_longer_trimmable_state_replaces_its_prefixes(tmp_path: Path) -> None:
    disk = tier(tmp_path)
    write(disk, state(range(20), Kind.SYSTEM), state(range(50)), state(range(90)))
    assert len(files(tmp_path)) == 2
    assert served(disk, [*range(70), 999]) == 70
    assert not disk.lacks(pack(range(60)))
    assert disk.lacks(pack([*range(60), 999]))


def test_a_damaged_file_is_set_aside_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = tier(tmp_path)
    write(disk, state(range(30)))
    (path,) = files(tmp_path)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert served(disk, [*range(30), 1]) == 0
    assert "checksum" in caplog.text and path.name in caplog.text
    assert files(tmp_path) == [] and disk.stats().quarantined == 1
    assert (tmp_path / "disk" / "quarantine" / path.name).exists()
    assert served(disk, [*range(30), 1]) == 0


def test_a_file_whose_tokens_were_changed_is_not_even_listed(tmp_path: Path) -> None:
    write(tier(tmp_path), state(range(30)))
    (path,) = files(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content.replace(pack([3, 4, 5]), pack([3, 4, 6])))
    again = tier(tmp_path)
    assert again.stats().entries == 0 and again.stats().quarantined == 1


def test_a_file_of_another_model_is_set_aside(tmp_path: Path) -> None:
    write(tier(tmp_path), state(range(30)))
    other = tier(tmp_path, fingerprint="other")
    assert served(other, [*range(30), 1]) == 0
    assert other.stats().quarantined == 1


def test_a_renamed_file_is_set_aside(tmp_path: Path) -> None:
    write(tier(tmp_path), state(range(30)))
    (path,) = files(tmp_path)
    path.rename(path.with_name("0" * 32 + ".safetensors"))
    assert tier(tmp_path).stats().quarantined == 1


def test_what_was_set_aside_makes_room_first(tmp_path: Path) -> None:
    one, two = state(range(100)), state(range(1000, 1100))
    limit = 2 * (one.nbytes + 2_000)
    disk = tier(tmp_path, limit)
    write(disk, one, two)
    files(tmp_path)[0].write_bytes(b"nonsense" * 100)
    again = tier(tmp_path, limit)
    assert again.stats().quarantined == 1
    write(again, one if again.lacks(one.tokens) else two)
    assert again.stats().evicted == 0 and again.stats().entries == 2
    assert all_bytes(tmp_path) <= limit


def test_a_write_given_up_leaves_nothing(tmp_path: Path) -> None:
    disk = tier(tmp_path)
    work = disk.write(state(range(30)))
    assert not work.run(0)
    assert all_bytes(tmp_path) > 0
    work.stop()
    assert all_bytes(tmp_path) == 0
    work = disk.write(state(range(30)))
    work.stop()
    assert all_bytes(tmp_path) == 0


def test_a_write_in_progress_is_no_entry_and_counts_in_full(tmp_path: Path) -> None:
    one = state(range(100))
    limit = 2 * (one.nbytes + 2_000)
    disk, other = tier(tmp_path, limit), tier(tmp_path, limit)
    work = disk.write(one)
    assert not work.run(0)
    assert served(other, [*range(100), 1]) == 0
    write(other, state(range(1000, 1100)), state(range(2000, 2100)))
    assert all_bytes(tmp_path) <= limit
    assert work.run(FOREVER) and work.result
    assert all_bytes(tmp_path) <= limit
    assert served(other, [*range(100), 1]) == 100


def test_the_rest_of_a_killed_write_is_swept_up(tmp_path: Path) -> None:
    disk = tier(tmp_path)
    left = tmp_path / "disk" / "1-1.partial"
    left.write_bytes(b"half")
    write(disk, state(range(30)))
    assert not left.exists()
    assert len(files(tmp_path)) == 1


def test_a_disk_that_refuses_is_a_miss_and_after_a_while_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = tier(tmp_path)
    shutil.rmtree(tmp_path / "disk")
    for number in range(FAILURES):
        assert disk.lacks(pack(range(30)))
        write(disk, state(range(number, 30)))
    assert not disk.lacks(pack(range(30)))
    assert disk.stats().failed >= FAILURES
    assert disk.match(pack([*range(30), 1])) is None
    assert "nothing more is written" in caplog.text


def test_tenants_do_not_share(tmp_path: Path) -> None:
    disk = tier(tmp_path)
    write(disk, state(range(30), tenant="one"))
    prompt = pack([*range(30), 1])
    for reader in (disk, tier(tmp_path)):
        assert reader.match(prompt) is None
        assert reader.match(prompt, "one") is not None


def test_prompts_are_private(tmp_path: Path) -> None:
    write(tier(tmp_path), state(range(30)))
    (path,) = files(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
