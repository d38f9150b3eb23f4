"""Keep the daemon's own log file small while the daemon runs, whoever opened that file.

`mlxctl start`, launchd and systemd point standard output and error at the file and never look at it again. So the
daemon itself puts it aside, and points both at a new one.
"""

import logging
import os
import stat
import sys
from pathlib import Path

from mlxd.supervisor.logs.rotating_file import FILE_BYTES, RotatingFile

NAME = "mlxd.log"


class OwnLog(logging.StreamHandler):  # type: ignore[type-arg]  # generic only for the type checker
    """Write to standard error; where that is the log file, put it aside when it has grown."""

    def __init__(self, path: Path, file_bytes: int = FILE_BYTES) -> None:
        super().__init__(sys.stderr)
        self._path = path
        self._limit = file_bytes
        self._trim()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        super().emit(record)
        self._trim()

    def _trim(self) -> None:
        try:
            if _is_full(self._path, self._limit):
                _begin_anew(self._path)
        except OSError:
            pass  # a full disk, or a folder that is gone: the lines go on into the file that is open


def _is_full(path: Path, limit: int) -> bool:
    """Tell whether standard error is this very file, and large."""
    status = os.fstat(sys.stderr.fileno())
    if not stat.S_ISREG(status.st_mode) or status.st_size < limit:
        return False
    return path.exists() and os.path.samestat(status, path.stat())


def _begin_anew(path: Path) -> None:
    old = path.stat()
    RotatingFile(path).put_aside()
    fresh = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for stream in (1, 2):
            if os.path.samestat(os.fstat(stream), old):
                os.dup2(fresh, stream)
    finally:
        os.close(fresh)
