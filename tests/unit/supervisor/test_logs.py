"""What a worker prints is kept, in memory and in files of bounded size."""

from pathlib import Path

import pytest

from mlxd.supervisor.logs import logs
from mlxd.supervisor.logs.logs import WorkerLog, file_name


def test_lines_are_whole_however_the_bytes_are_cut(tmp_path: Path) -> None:
    log = WorkerLog("m", tmp_path)
    for chunk in (b"on", b"e\ntw", b"o\r\n", b"\xff\n", b"rest"):
        log.write(chunk)
    assert log.tail() == ["one", "two", "\ufffd"]
    assert log.path.read_bytes() == b"one\ntwo\r\n\xff\n"
    log.flush()
    assert log.tail(1) == ["rest"]


def test_a_line_that_never_ends_is_cut(tmp_path: Path) -> None:
    log = WorkerLog("m", tmp_path)
    for _ in range(100):
        log.write(b"x" * 4096)
    assert 0 < sum(len(line) for line in log.tail()) <= 100 * 4096
    assert max(len(line) for line in log.tail()) <= 70_000


def test_memory_holds_the_last_lines_only(tmp_path: Path) -> None:
    log = WorkerLog("m", tmp_path, lines=3)
    log.write(b"".join(b"%d\n" % number for number in range(10)))
    assert log.tail() == ["7", "8", "9"]
    assert log.tail(2) == ["8", "9"]
    assert log.tail(0) == []


def test_files_rotate_by_size_and_the_oldest_go(tmp_path: Path) -> None:
    log = WorkerLog("m", tmp_path, file_bytes=100)
    for number in range(50):
        log.write(b"line %02d %s\n" % (number, b"x" * 20))
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["m.log", "m.log.1", "m.log.2"]
    assert all(path.stat().st_size < 200 for path in tmp_path.iterdir())
    newest = b"".join((tmp_path / name).read_bytes() for name in reversed(files))
    assert newest.splitlines()[-1].startswith(b"line 49")


def test_a_log_goes_on_where_the_last_daemon_left_it(tmp_path: Path) -> None:
    WorkerLog("m", tmp_path).write(b"one\n")
    WorkerLog("m", tmp_path).write(b"two\n")
    assert (tmp_path / "m.log").read_bytes() == b"one\ntwo\n"


def test_a_disk_that_does_not_take_it_is_reported_once_and_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    log = WorkerLog("m", tmp_path / "file")  # a folder that cannot be made
    log.write(b"one\n")
    log.write(b"two\n")
    assert log.tail() == ["one", "two"]
    assert len([r for r in caplog.records if r.name == "mlxd.logs"]) == 1


def test_only_this_user_reads_the_log(tmp_path: Path) -> None:
    log = WorkerLog("m", tmp_path / "logs")
    log.write(b"one\n")
    assert log.path.stat().st_mode & 0o777 == 0o600


def test_every_model_has_a_file_of_its_own_in_the_folder() -> None:
    ids = [
        "a/b",
        "a%2Fb",
        "a%252Fb",
        "../a",
        "..",
        ".",
        ".hidden",
        "A b",
        "ü",
        "x" * 300,
        "x" * 301,
    ]
    names = [file_name(model_id) for model_id in ids]
    assert len(set(names)) == len(ids)
    for name in names:
        assert "/" not in name
        assert not name.startswith(".")
        assert len(name.encode()) < 200
        assert name.endswith(".log")
    assert file_name("mlxd-demo") == "mlxd-demo.log"
    assert file_name("org/tiny-4bit") == "org%2Ftiny-4bit.log"


def test_a_model_named_like_the_daemon_does_not_write_into_its_log() -> None:
    assert file_name("mlxd") != "mlxd.log"
    assert logs.file_name("mlxd").startswith("mlxd-")
