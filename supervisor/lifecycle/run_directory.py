"""Give this daemon a folder of its own for its workers' sockets, and clear away those of daemons that are gone."""

import logging
import os
import shutil
from pathlib import Path

import psutil

from mlxd.supervisor.runfile import NotWritten

logger = logging.getLogger("mlxd.run_directory")


class RunDirectory:
    """Own the folder named after our pid; nobody else of this machine can enter it."""

    def __init__(self, parent: Path, pid: int | None = None) -> None:
        self.path = parent / str(pid or os.getpid())

    def create(self) -> Path:
        """Make the folder, empty; what lies there already was left by a dead process that had our pid.

        Raises NotWritten.
        """
        _clear_stale(self.path.parent)
        shutil.rmtree(self.path, ignore_errors=True)
        try:
            self.path.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise NotWritten(f"{self.path} cannot be made: {error.strerror}") from None
        return self.path

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.path, ignore_errors=True)


def discard(path: Path | str) -> None:
    """Delete a file of the folder if that can be done; what cannot must keep nobody from noticing a worker's end."""
    try:
        os.unlink(path)
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            logger.warning("file=%s stays error=%r", path, str(error))


def _clear_stale(parent: Path) -> None:
    if not parent.is_dir():
        return
    for folder in parent.iterdir():
        if folder.name.isdigit() and folder.is_dir() and not psutil.pid_exists(int(folder.name)):
            logger.info("stale=%s removed", folder)
            shutil.rmtree(folder, ignore_errors=True)
