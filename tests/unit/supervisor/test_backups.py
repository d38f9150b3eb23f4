"""A backup of every hour does not take gigabytes of remembered prompts along."""

import plistlib
from pathlib import Path

import pytest

from mlxd.supervisor import backups

Call = tuple[bytes, bytes, bytes, int, int, int]


class Library:
    """Note what the system is asked for, and answer."""

    def __init__(self, answer: int = 0) -> None:
        self.calls: list[Call] = []
        self._answer = answer

    def setxattr(
        self, path: bytes, name: bytes, value: bytes, size: int, position: int, options: int
    ) -> int:
        """Note a call."""
        self.calls.append((path, name, value, size, position, options))
        return self._answer


@pytest.mark.parametrize("answer", [0, -1], ids=["marked", "a disk without marks"])
def test_a_folder_is_marked_as_tmutil_marks_it(tmp_path: Path, answer: int) -> None:
    # What `tmutil addexclusion` leaves: eclecticlight.co, 13 December 2017; xattr -l shows it on macOS 12 to 14.
    library, folder = Library(answer), tmp_path / "state" / "prompt-cache"
    backups.leave_out(folder, platform="darwin", library=library)
    ((path, name, value, size, position, options),) = library.calls
    assert path == bytes(folder) and folder.is_dir()
    assert name == b"com.apple.metadata:com_apple_backup_excludeItem"
    assert value.startswith(b"bplist00") and len(value) == size
    assert plistlib.loads(value) == "com.apple.backupd"
    assert (position, options) == (0, 0)


def test_elsewhere_nothing_is_made_nor_marked(tmp_path: Path) -> None:
    library = Library()
    backups.leave_out(tmp_path / "cache", platform="linux", library=library)
    assert library.calls == [] and not (tmp_path / "cache").exists()


def test_a_folder_that_cannot_be_made_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    backups.leave_out(tmp_path / "file" / "cache", platform="darwin", library=Library())
