"""Append to a file that is put aside when it has grown, so that the newest bytes are kept and no disk fills up."""

import os
from pathlib import Path

FILE_BYTES = 5 * 1024 * 1024
_OLD_FILES = 2


class RotatingFile:
    """Own `path`, `path.1` and so on, the newest first; nobody but the user may read them."""

    def __init__(self, path: Path, file_bytes: int = FILE_BYTES) -> None:
        self.path = path
        self._file_bytes = file_bytes

    def append(self, content: bytes) -> None:
        """Write at the end; raises OSError where the disk does not take it."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with os.fdopen(os.open(self.path, flags, 0o600), "ab") as file:
            file.write(content)
            size = file.tell()
        if size >= self._file_bytes:
            self.put_aside()

    def end(self, most: int) -> bytes:
        """Return the last bytes, at most `most`, of the newest file that has any; empty where none can be read."""
        for age in range(_OLD_FILES + 1):
            try:
                with self._aged(age).open("rb") as file:
                    size = file.seek(0, os.SEEK_END)
                    file.seek(max(0, size - most))
                    if content := file.read(most):
                        return content
            except OSError:
                continue
        return b""

    def put_aside(self) -> None:
        """Have the next bytes begin a new file; the oldest one goes."""
        for age in range(_OLD_FILES, 0, -1):
            newer = self._aged(age - 1)
            if newer.exists():
                newer.replace(self._aged(age))

    def _aged(self, age: int) -> Path:
        return self.path if age == 0 else self.path.with_name(f"{self.path.name}.{age}")
