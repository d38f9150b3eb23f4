"""Remember when each model was used last, over restarts of the daemon.

The file is written at most once in a while: what a crash loses is the last minute, and it is only read by people.
"""

import asyncio
import logging
import os
from math import isfinite
from pathlib import Path

import msgspec

logger = logging.getLogger("mlxd.usage")

FILE = "last_used.json"
_MOST = 2000
"""Models remembered; the longest unused are forgotten."""
_PAUSE_S = 60.0
_VERSION = 1


class _File(msgspec.Struct):
    version: int
    last_used: dict[str, float]
    """Unix seconds by model."""


_decoder = msgspec.json.Decoder(_File)


class Usage:
    """Hold the times in memory and, now and then, in a file; without a file, in memory only."""

    def __init__(self, file: Path | None = None, *, pause: float = _PAUSE_S) -> None:
        self._file = file
        self._pause = pause
        self._times = _read(file) if file else {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_late = False
        """Whether the file lacks something."""

    def at(self, model_id: str) -> float | None:
        """Return when the model was used last, in Unix seconds; None where nobody knows."""
        return self._times.get(model_id)

    def note(self, model_id: str, at: float) -> None:
        """Take a use; raises nothing. Needs a running event loop where there is a file."""
        self._times.pop(model_id, None)
        self._times[model_id] = at
        self._is_late = True
        if self._file is not None and self._timer is None:
            self._write()
            self._timer = asyncio.get_running_loop().call_later(self._pause, self._on_timer)

    def close(self) -> None:
        """Write what the file lacks, and nothing after that by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._write()

    def _on_timer(self) -> None:
        self._timer = None
        if self._is_late:
            self._write()
            self._timer = asyncio.get_running_loop().call_later(self._pause, self._on_timer)

    def _write(self) -> None:
        if self._file is None or not self._is_late:
            return
        while len(self._times) > _MOST:
            del self._times[next(iter(self._times))]
        fresh = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "wb") as out:
                out.write(msgspec.json.encode(_File(_VERSION, self._times)))
            fresh.replace(self._file)
            self._is_late = False
        except OSError as error:
            logger.warning("times of use are not kept file=%s error=%r", self._file, str(error))


def _read(file: Path) -> dict[str, float]:
    """Return the times, the oldest first; a file that cannot be read costs nothing but them."""
    try:
        found = _decoder.decode(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        logger.warning("times of use cannot be read file=%s error=%r", file, str(error))
        return {}
    if found.version != _VERSION:
        return {}
    sane = [(name, at) for name, at in found.last_used.items() if isfinite(at) and at >= 0]
    return dict(sorted(sane, key=lambda one: one[1])[-_MOST:])
