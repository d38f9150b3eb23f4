"""Processes that are killed while they write the prompt cache, and processes that write it together."""

import subprocess
import sys
from pathlib import Path

from support import source, states

from mlxd.workers.prompt_cache import caches
from mlxd.workers.prompt_cache.disk_folder import DiskFolder
from mlxd.workers.prompt_cache.disk_tier import DiskTier
from mlxd.workers.prompt_cache.eviction_order import Kind
from mlxd.workers.prompt_cache.packing import pack, unpack
from mlxd.workers.prompt_cache.snapshot import Snapshot

LIMIT = 400_000

WRITER = """
import random, sys
from pathlib import Path
from support import states
from mlxd.workers.prompt_cache.disk_tier import DiskTier
from mlxd.workers.prompt_cache.eviction_order import Kind
from mlxd.workers.prompt_cache.packing import pack, unpack
from mlxd.workers.prompt_cache.snapshot import Snapshot
from mlxd.workers.prompt_cache import caches

folder, seed, count, limit = Path(sys.argv[1]), *map(int, sys.argv[2:])
disk = DiskTier(folder, "model", limit, keep_free=0)
rng = random.Random(seed)
print("begun", flush=True)
for number in range(count):
    # The same few beginnings for all: the processes write the same names and replace each other's prefixes.
    tokens = list(range(rng.randrange(8) * 1000, 10**6))[: rng.randrange(100, 200)]
    taken = Snapshot.take(pack(tokens), states.attention(tokens), Kind.ROW)
    work = disk.write(taken)
    while not work.run(0):
        pass
    match = disk.match(pack([*tokens, 1]))
    if match is not None:
        reading = disk.read(match.entry)
        reading.run(60)
        if reading.result is not None:
            got = reading.result
            expected = states.contents(states.attention(unpack(got.tokens)))
            assert states.contents(caches.fold(got.shape, got.leaves)) == expected
print("done", disk.stats().quarantined, disk.stats().failed, flush=True)
"""

HALF = """
import sys
from pathlib import Path
from support import states
from mlxd.workers.prompt_cache.disk_tier import DiskTier
from mlxd.workers.prompt_cache.eviction_order import Kind
from mlxd.workers.prompt_cache.packing import pack
from mlxd.workers.prompt_cache.snapshot import Snapshot

disk = DiskTier(Path(sys.argv[1]), "model", 1 << 30, keep_free=0)
tokens = list(range(500))
work = disk.write(Snapshot.take(pack(tokens), states.attention(tokens), Kind.ROW))
for _ in range(int(sys.argv[2])):
    assert not work.run(0)
print("half", flush=True)
sys.stdin.read()
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(source.ROOT / "tests")},
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_write_that_was_killed_half_way_leaves_nothing_listed(tmp_path: Path) -> None:
    for steps in (1, 3, 5):
        process = start(HALF, tmp_path, steps)
        with process:
            assert line(process) == "half"
            process.kill()
        assert list(tmp_path.glob("*.partial"))
        disk = DiskTier(tmp_path, "model", 1 << 30, keep_free=0)
        assert disk.stats().entries == 0 and disk.stats().quarantined == 0
        assert disk.match(pack(list(range(501)))) is None
    # The next writer clears up, and is not hindered.
    with start(WRITER, tmp_path, 1, 1, 1 << 30) as process:
        assert line(process) == "begun"
        assert line(process) == "done 0 0"
    assert not list(tmp_path.glob("*.partial"))


def test_a_file_gets_its_name_while_nobody_counts_the_bytes(tmp_path: Path) -> None:
    """Given a process that makes room, when another has just written a file, then the first counts it once."""
    disk, tokens = DiskTier(tmp_path, "model", LIMIT, keep_free=0), list(range(500))
    taken = Snapshot.take(pack(tokens), states.attention(tokens), Kind.ROW)
    assert taken is not None
    writing = disk.write(taken)
    assert not writing.run(0)
    counting = DiskFolder(tmp_path).lock()
    assert counting is not None
    for _ in range(1000):
        assert not writing.run(0)
    assert list(tmp_path.glob("*.partial")) and not list(tmp_path.glob("*.safetensors"))
    counting.close()
    while not writing.run(0):
        pass
    assert list(tmp_path.glob("*.safetensors")) and not list(tmp_path.glob("*.partial"))


def test_processes_that_share_a_folder_never_harm_each_other(tmp_path: Path) -> None:
    writers = [start(WRITER, tmp_path, seed, 30, LIMIT) for seed in range(3)]
    assert [line(writer) for writer in writers] == ["begun"] * 3
    for writer in writers:
        with writer:
            assert line(writer) == "done 0 0"
        assert writer.returncode == 0
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= LIMIT
    disk = DiskTier(tmp_path, "model", LIMIT, keep_free=0)
    assert disk.stats().entries > 0
    for start_of in range(0, 8000, 1000):
        match = disk.match(pack(list(range(start_of, start_of + 201))))
        if match is not None:
            reading = disk.read(match.entry)
            assert reading.run(60) and reading.result is not None
            tokens = unpack(reading.result.tokens)
            read = caches.fold(reading.result.shape, reading.result.leaves)
            assert states.contents(read) == states.contents(states.attention(tokens))
    assert disk.stats().quarantined == 0
