"""The daemon's own log stays small while it runs, and whoever follows it misses nothing."""

import subprocess
import sys
from pathlib import Path

from mlxd.supervisor.cli import tail

WRITER = """
import logging, sys
from pathlib import Path
from mlxd.supervisor.logs.own_log import OwnLog
logging.basicConfig(level="INFO", handlers=[OwnLog(Path(sys.argv[1]), file_bytes=400)], format="%(message)s")
for number in range(int(sys.argv[2])):
    logging.info("line %04d", number)
    if number % 10 == 9:
        sys.stdin.readline()
print("said aloud", flush=True)
"""


def writer(log: Path, lines: int) -> "subprocess.Popen[bytes]":
    """Start a process whose output goes to the log, as launchd would start it."""
    with log.open("ab") as sink:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", WRITER, str(log), str(lines)],
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=sink,
        )


def test_it_is_put_aside_when_it_has_grown_and_all_output_goes_to_the_new_one(
    tmp_path: Path,
) -> None:
    log = tmp_path / "mlxd.log"
    process = writer(log, 900)
    process.communicate()
    assert process.returncode == 0
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["mlxd.log", "mlxd.log.1", "mlxd.log.2"]
    assert all(path.stat().st_size <= 420 for path in files)
    assert log.read_text().endswith("said aloud\n")
    kept = [line for path in reversed(files) for line in path.read_text().splitlines()][:-1]
    assert kept == [f"line {number:04}" for number in range(900 - len(kept), 900)]


def test_whoever_follows_it_sees_every_line_across_rotations(tmp_path: Path) -> None:
    log = tmp_path / "mlxd.log"
    log.touch()
    lines = tail.follow(log)
    process = writer(log, 150)
    assert process.stdin is not None
    for number in range(150):
        assert next(lines) == f"line {number:04}"
        if number % 10 == 9:
            process.stdin.write(b"\n")
            process.stdin.flush()
    process.communicate()


def test_another_file_or_a_terminal_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other.log"
    with other.open("ab") as sink:
        subprocess.run(
            [sys.executable, "-P", "-c", WRITER, str(tmp_path / "mlxd.log"), "900"],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            check=True,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["other.log"]
