"""Write one line of JSON per admin action: who did what, when, and how it ended."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from mlxd.supervisor.logs.rotating_file import FILE_BYTES, RotatingFile

logger = logging.getLogger("mlxd.audit")

FILE = "audit.log"


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Hold one line."""

    time: str
    who: str
    """Name of the key, `server.api_key`, `mlxctl`, or `anyone` where no key exists."""
    what: str
    about: str | None = None
    """Model or key it was done to."""
    result: str
    """`ok`, or the code of the error."""
    status: int | None = None
    request: str | None = None
    """Id of the request, as in the log."""


class Audit:
    """Own the file, which rotates by size; a full disk is told to the log and stops nobody."""

    def __init__(
        self,
        path: Path | None = None,
        *,
        clock: Callable[[], float] = time.time,
        file_bytes: int = FILE_BYTES,
    ) -> None:
        self._file = path and RotatingFile(path, file_bytes)
        self._clock = clock

    def write(
        self,
        who: str,
        what: str,
        *,
        about: str | None = None,
        result: str = "ok",
        status: int | None = None,
        request: str | None = None,
    ) -> None:
        """Write a line."""
        if not self._file:
            return
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock()))
        entry = Entry(
            time=stamp, who=who, what=what, about=about, result=result, status=status,
            request=request,
        )  # fmt: skip
        try:
            self._file.append(msgspec.json.encode(entry) + b"\n")
        except OSError as error:
            logger.error("audit line lost who=%s what=%s error=%r", who, what, str(error))
