"""Say what the operating system is to run: a function of settings, folders and environment only."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlxd.config.paths import Paths
from mlxd.config.settings import Settings
from mlxd.protocol.units import NEVER

LABEL = "mlxd.daemon"
"""What launchd calls it."""
UNIT = "mlxd.service"
"""What systemd calls it."""
LOG = "mlxd.log"

SEARCH_PATH = (
    "/opt/homebrew/bin", "/opt/homebrew/sbin", "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin",
)  # fmt: skip
"""Homebrew's folders, which launchd leaves out, then its own."""
RESTART_AFTER_S = 10
"""A daemon that cannot run here is tried again this often, not more."""
OPEN_FILES = 10_240
"""What macOS grants in any case; the daemon itself asks for more."""
MOST_OPEN_FILES = 65_536

_KEPT = frozenset(
    {
        "HF_ENDPOINT",
        "HF_HOME",
        "HF_HUB_CACHE",
        "HF_HUB_OFFLINE",
        "HF_TOKEN_PATH",
        "HUGGINGFACE_HUB_CACHE",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_STATE_HOME",
    }
)
_CLIENTS_OWN = frozenset({"MLXD_API_KEY", "MLXD_URL", "MLXD_LAUNCHCTL", "MLXD_SYSTEMCTL"})
"""Variables that are for `mlxctl` alone."""
SECRETS = frozenset({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "MLXD_SERVER_API_KEY"})
"""Variables that are written into a file only where someone asks for it."""
_LEAST_EXIT_S = 120
_LONGEST_DRAIN_S = 600
"""Where requests may run for ever, a logout still may not wait for ever."""
_LAST_WORDS_S = 15
"""From the last worker's end to the daemon's own, and room for a busy machine."""


@dataclass(frozen=True)
class Service:
    """Describe the process to run."""

    program: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    exit_timeout: int
    """Seconds from SIGTERM to SIGKILL."""


def plan(
    program: Sequence[str],
    settings: Settings,
    paths: Paths,
    env: Mapping[str, str],
    *,
    with_secrets: bool = False,
) -> Service:
    """Return the service; its environment is what of `env` decides where the daemon finds and keeps things."""
    return Service(
        program=tuple(program),
        environment=environment(env, with_secrets=with_secrets),
        folder=Path(env.get("HOME") or Path.home()),
        log=paths.log_dir / LOG,
        exit_timeout=exit_timeout(settings),
    )


def environment(env: Mapping[str, str], *, with_secrets: bool = False) -> dict[str, str]:
    """Return the variables the service gets; a secret only where it was asked for."""
    kept = {
        name: value
        for name, value in sorted(env.items())
        if value
        and (name in _KEPT or (name.startswith("MLXD_") and name not in _CLIENTS_OWN | SECRETS))
    }
    secrets = {name: env[name] for name in sorted(SECRETS) if with_secrets and env.get(name)}
    return {"PATH": ":".join(SEARCH_PATH), "PYTHONUNBUFFERED": "1"} | kept | secrets


def left_out(env: Mapping[str, str]) -> list[str]:
    """Return the secrets in `env` that the service does not get unasked."""
    return [name for name in sorted(SECRETS) if env.get(name)]


def exit_timeout(settings: Settings) -> int:
    """Return the seconds a daemon may take to leave: its requests' time, then its workers'.

    A worker killed before it freed its memory may take that memory along until the next boot.
    """
    drain = settings.defaults.drain_timeout
    grace = settings.defaults.kill_grace
    longest = min(drain, _LONGEST_DRAIN_S) + (grace if grace != NEVER else _LONGEST_DRAIN_S)
    return max(_LEAST_EXIT_S, math.ceil(longest) + _LAST_WORDS_S)
