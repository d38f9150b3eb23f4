"""Keep the files of one model's disk tier: whole ones, ones being written, ones set aside.

A file appears under its name only when it is complete, by a rename. Nothing is forced to the platter: the checksum
tells what a power cut tore, and a kept state is only ever a saving. While a file is written its writer holds a lock
on it, so the remains of a killed one are told from the work of another process without asking for process ids.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

log = logging.getLogger(__name__)

SUFFIX = ".safetensors"
_PARTIAL = ".partial"


def claim(root: Path, model_id: str, fingerprint: str) -> Path:
    """Return the folder of a model as it is now, and remove what belonged to it as it was before."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", model_id)[:40]
    unique = hashlib.blake2b(model_id.encode(), digest_size=6).hexdigest()
    model = root / f"{readable}-{unique}"
    for old in model.glob("*"):
        if old.name != fingerprint:
            shutil.rmtree(old, ignore_errors=True)
    return model / fingerprint


@dataclass(frozen=True, slots=True)
class Listed:
    """One complete file."""

    name: str
    nbytes: int
    used: int
    """When it was last used, in nanoseconds."""


@dataclass(slots=True)
class Draft:
    """One file being written; it takes its full size from the start."""

    file: BinaryIO
    path: Path


class DiskFolder:
    """Own one folder; several processes may own it at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._aside = path / "quarantine"
        # Prompts are private.
        self._aside.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)

    def changed_at(self) -> int:
        """Return a number that changes when a file appears or goes."""
        return self.path.stat().st_mtime_ns

    def lock(self) -> BinaryIO | None:
        """Keep other processes from making room until the result is closed; None where one is just doing so."""
        file = (self.path / ".lock").open("wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file

    def listed(self) -> list[Listed]:
        """Return the complete files, the least recently used first."""
        found = []
        for entry in os.scandir(self.path):
            if entry.name.endswith(SUFFIX):
                with contextlib.suppress(FileNotFoundError):
                    about = entry.stat()
                    found.append(Listed(entry.name, about.st_size, about.st_mtime_ns))
        return sorted(found, key=lambda file: file.used)

    def sweep(self) -> None:
        """Remove what killed writers left; only under the lock, lest it be a file that is just being begun."""
        for path in self.path.glob("*" + _PARTIAL):
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                path.unlink(missing_ok=True)

    def other_bytes(self) -> int:
        """Return the size of what is being written or was set aside."""
        return sum(_size(path) for path in (*self.path.glob("*" + _PARTIAL), *self._set_aside()))

    def drop_set_aside(self) -> bool:
        """Remove the oldest file that was set aside; False when there is none."""
        for path in self._set_aside():
            path.unlink(missing_ok=True)
            return True
        return False

    def draft(self, nbytes: int) -> Draft:
        """Begin a file of so many bytes."""
        path = self.path / f"{secrets.token_hex(8)}{_PARTIAL}"
        opener = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        file = os.fdopen(opener, "r+b")
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(nbytes)
        return Draft(file, path)

    def publish(self, draft: Draft, name: str) -> None:
        """Give a finished file its name."""
        draft.file.flush()
        draft.path.rename(self.path / name)
        draft.file.close()

    def discard(self, draft: Draft) -> None:
        """Remove an unfinished file."""
        with contextlib.suppress(OSError):
            draft.file.close()
        draft.path.unlink(missing_ok=True)

    def touch(self, name: str) -> None:
        """Note that a file was used."""
        with contextlib.suppress(OSError):
            os.utime(self.path / name)

    def remove(self, name: str) -> None:
        """Remove a file, if it is still there."""
        (self.path / name).unlink(missing_ok=True)

    def set_aside(self, name: str, reason: str) -> None:
        """Move a bad file out of the way and say so."""
        log.warning("prompt cache: set aside %s: %s", name, reason)
        with contextlib.suppress(FileNotFoundError):
            (self.path / name).rename(self._aside / name)

    def _set_aside(self) -> list[Path]:
        return sorted(self._aside.iterdir(), key=_changed)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
