"""Tell other processes of this user which daemon runs and where it listens.

The file lives in the state folder while the daemon does. A pid alone proves nothing after a crash or a reboot, so the
process's start time stands beside it and is checked before anyone signals the pid.
"""

import contextlib
import os
from pathlib import Path

import msgspec

NAME = "mlxd.json"
_CLOCK_SLACK = 2.0
"""Seconds by which two readings of one process's start time may differ where the boot time is re-estimated."""


class NotWritten(Exception):
    """Say what of the daemon's own cannot be written."""


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """Name the running daemon."""

    pid: int
    started_at: float
    """Start time of the process as the kernel tells it, in Unix seconds."""
    url: str
    version: str
    api_key: str | None = None
    """What `mlxctl` shows the daemon; only this user can read the file."""

    def is_alive(self) -> bool:
        """Tell whether this very process still runs; a zombie counts as gone."""
        import psutil  # here: `mlxctl --help` need not pay for it

        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started_at) < _CLOCK_SLACK
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def own(url: str, version: str, api_key: str | None = None) -> RunFile:
    """Describe the calling process."""
    import psutil

    process = psutil.Process()
    return RunFile(
        pid=process.pid,
        started_at=process.create_time(),
        url=url,
        version=version,
        api_key=api_key,
    )


def write(state_dir: Path, run: RunFile) -> None:
    """Replace the file in one step; readers see the old or the new one, never half. Raises NotWritten."""
    fresh = state_dir / f".{NAME}.{run.pid}"
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(run))
        fresh.replace(state_dir / NAME)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise NotWritten(f"{state_dir / NAME} cannot be written: {error.strerror}") from None


def read(state_dir: Path) -> RunFile | None:
    """Return what the file says, None where there is none or it is no run file."""
    try:
        return msgspec.json.decode((state_dir / NAME).read_bytes(), type=RunFile)
    except (OSError, msgspec.DecodeError):
        return None


def running(state_dir: Path) -> RunFile | None:
    """Return the daemon that runs now, None where the file is absent or left over from one that is gone."""
    found = read(state_dir)
    return found if found is not None and found.is_alive() else None


def remove(state_dir: Path, pid: int) -> None:
    """Delete the file if it still names `pid`; a newer daemon's file stays."""
    found = read(state_dir)
    if found is not None and found.pid == pid:
        (state_dir / NAME).unlink(missing_ok=True)
