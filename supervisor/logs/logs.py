"""Keep what workers print: the last lines in memory, more in files that rotate by size."""

import hashlib
import logging
from collections import deque
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from mlxd.supervisor.logs.rotating_file import FILE_BYTES, RotatingFile

logger = logging.getLogger("mlxd.logs")

_LINES = 500
_LONGEST_LINE = 64 * 1024
_LONGEST_NAME = 120
_OWN = "mlxd"
"""What the daemon's own log is called."""


def file_name(model_id: str) -> str:
    """Return a file name for a model's log: readable, no two models' the same, no slash in it."""
    name = quote(model_id, safe="")
    if name.startswith(".") or len(name) > _LONGEST_NAME or name == _OWN:
        name = f"{name[:_LONGEST_NAME].lstrip('.')}-{hashlib.sha256(model_id.encode()).hexdigest()[:12]}"
    return f"{name}.log"


class LogSink(Protocol):
    """Take what a worker prints."""

    def write(self, chunk: bytes) -> None:
        """Take some bytes; lines may be cut anywhere."""
        ...

    def flush(self) -> None:
        """Take an unfinished line as it is; the process has ended."""
        ...


class WorkerLog:
    """Take one model's output, over all processes that ever served it.

    Where the disk does not take it, the lines in memory still do: a full disk never stops a worker.
    """

    def __init__(
        self, model_id: str, log_dir: Path, *, file_bytes: int = FILE_BYTES, lines: int = _LINES
    ) -> None:
        self.path = log_dir / file_name(model_id)
        self._model_id = model_id
        self._file = RotatingFile(self.path, file_bytes)
        self._lines: deque[str] = deque(maxlen=lines)
        self._partial = b""
        self._is_failing = False

    def write(self, chunk: bytes) -> None:
        """Take some bytes; only whole lines go on, and a line that never ends is cut."""
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        if len(self._partial) > _LONGEST_LINE:
            lines.append(self._partial)
            self._partial = b""
        if lines:
            self._take(lines)

    def flush(self) -> None:
        """Take an unfinished line as it is; for when the process has ended."""
        if self._partial:
            self._take([self._partial])
            self._partial = b""

    def tail(self, count: int = _LINES) -> list[str]:
        """Return the last lines, oldest first."""
        return list(self._lines)[-count:] if count > 0 else []

    def _take(self, lines: list[bytes]) -> None:
        self._lines.extend(line.decode(errors="replace").rstrip("\r") for line in lines)
        try:
            self._file.append(b"".join(line + b"\n" for line in lines))
            self._is_failing = False
        except OSError as error:
            if not self._is_failing:
                logger.error("model=%s log lost error=%r", self._model_id, str(error))
            self._is_failing = True
