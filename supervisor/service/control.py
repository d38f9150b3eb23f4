"""Hold what launchd and systemd have in common, and choose between them."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlxd.supervisor.service.plan import Service

_CALL_S = 20.0


class ServiceError(Exception):
    """Say what the operating system refused, in its own words."""


@dataclass(frozen=True)
class State:
    """Tell how the operating system sees the service."""

    loaded: bool
    """Whether it would start it again after a crash."""
    running: bool = False
    pid: int | None = None
    process_type: str | None = None
    """What launchd calls it: interactive, background, …; None where it does not say."""
    exit_timeout: int | None = None
    """Seconds from SIGTERM to SIGKILL."""


class Control(Protocol):
    """Install, watch and move one service of this user."""

    kind: str
    """`launchd` or `systemd`."""
    file: Path
    """What it is described in; exists where it is installed."""

    def text(self, service: Service) -> bytes:
        """Return the file's content."""
        ...

    def same(self, one: bytes, other: bytes) -> bool:
        """Tell whether two such files differ at most in the program's options."""
        ...

    def state(self) -> State:
        """Ask how it stands."""
        ...

    def install(self) -> None:
        """Take the file as it is now, and start the service."""
        ...

    def start(self) -> None:
        """Start it where it does not run."""
        ...

    def stop(self) -> None:
        """Send it SIGTERM, and do not start it again; may return before it has left."""
        ...

    def forget(self) -> None:
        """Stop it and take it from the list of services; may return before it has left."""
        ...


def of_user(env: Mapping[str, str], *, platform: str = sys.platform) -> Control:
    """Return what this machine has; MLXD_LAUNCHCTL or MLXD_SYSTEMCTL names another program to call."""
    from mlxd.supervisor.service.launchd import LAUNCHCTL, Launchd
    from mlxd.supervisor.service.systemd import SYSTEMCTL, Systemd

    home = Path(env.get("HOME") or Path.home())
    if (program := env.get("MLXD_LAUNCHCTL")) or platform == "darwin":
        return Launchd(program or LAUNCHCTL, home, os.getuid())
    folder = env.get("XDG_CONFIG_HOME", "")
    configuration = Path(folder) if os.path.isabs(folder) else home / ".config"
    return Systemd(env.get("MLXD_SYSTEMCTL") or SYSTEMCTL, configuration)


def call(command: Sequence[str], *, timeout: float = _CALL_S) -> "subprocess.CompletedProcess[str]":
    """Run a program of the system's to its end, whatever it answers. Raises ServiceError where it cannot."""
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
        )
    except OSError as error:
        raise ServiceError(f"{command[0]} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise ServiceError(f"{' '.join(command)} did not end within {timeout:g} s") from None


def demand(command: Sequence[str], *, timeout: float = _CALL_S) -> str:
    """Return what a program of the system's says. Raises ServiceError where it fails."""
    done = call(command, timeout=timeout)
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise ServiceError(f"{' '.join(command)}: {said}")
    return done.stdout
