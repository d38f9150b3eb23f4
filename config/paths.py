"""Say where mlxd keeps what it writes and where it looks for models; a function of the environment only."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlxd.protocol.errors import ConfigError

_LONGEST_RUN_DIR = 70
"""macOS allows 103 bytes for a Unix socket's path; this leaves 32 for the file's name."""


@dataclass(frozen=True)
class Paths:
    """Name the folders and files of one user's daemon; nothing is created by asking."""

    config_file: Path
    """The user's configuration; need not exist."""
    state_dir: Path
    """What must outlive the daemon."""
    log_dir: Path
    """Logs of the daemon and of each worker."""
    run_dir: Path
    """Sockets of the workers; short enough for Unix sockets."""
    hub_cache: Path
    """The Hugging Face cache, where `mlxctl pull` puts models."""

    @classmethod
    def of(
        cls, env: Mapping[str, str], *, platform: str = sys.platform, uid: int | None = None
    ) -> "Paths":
        """Return the paths for an environment; MLXD_HOME puts all but the hub cache under one folder."""
        home = Path(env.get("HOME") or Path.home())
        own = _folder(env, "MLXD_HOME", home)
        state = own / "state" if own else _xdg(env, "XDG_STATE_HOME", home, ".local/state")
        state = _folder(env, "MLXD_STATE_DIR", home) or state
        owner = os.getuid() if uid is None else uid
        configuration = own or _xdg(env, "XDG_CONFIG_HOME", home, ".config")
        named = _folder(env, "MLXD_CONFIG", home)
        logs = home / "Library/Logs/mlxd" if platform == "darwin" and not own else state / "logs"
        if env.get("MLXD_STATE_DIR"):
            logs = state / "logs"
        return cls(
            config_file=named or configuration / "config.yaml",
            state_dir=state,
            log_dir=_folder(env, "MLXD_LOG_DIR", home) or logs,
            run_dir=_run_dir(env, home, own, state=state, platform=platform, uid=owner),
            hub_cache=_hub_cache(env, home),
        )

    def prepare(self) -> None:
        """Create the folders for this user only; raises ConfigError where someone else could put files there."""
        for folder in (self.state_dir, self.log_dir, self.run_dir):
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                status = folder.stat()
            except OSError as error:
                raise ConfigError(f"{folder}: cannot be created: {error.strerror}") from None
            if folder == self.run_dir and (status.st_uid != os.getuid() or status.st_mode & 0o022):
                raise ConfigError(
                    f"{folder}: expected a folder that only you may write to; remove it, or name another "
                    "in MLXD_RUN_DIR"
                )


def _folder(env: Mapping[str, str], name: str, home: Path) -> Path | None:
    value = env.get(name)
    return _expanded(value, home).absolute() if value else None


def _expanded(value: str, home: Path) -> Path:
    if value == "~" or value.startswith("~/"):
        return home / value[2:]
    return Path(value)


def _xdg(env: Mapping[str, str], name: str, home: Path, usual: str) -> Path:
    """Return mlxd's folder under an XDG folder; a relative value is ignored, as their standard asks."""
    value = env.get(name, "")
    return (Path(value) if os.path.isabs(value) else home / usual) / "mlxd"


def _run_dir(
    env: Mapping[str, str], home: Path, own: Path | None, *, state: Path, platform: str, uid: int
) -> Path:
    runtime = env.get("XDG_RUNTIME_DIR", "")
    if named := _folder(env, "MLXD_RUN_DIR", home):
        wanted = named
    elif own:
        wanted = own / "run"
    elif os.path.isabs(runtime):
        wanted = Path(runtime) / "mlxd"
    elif platform == "darwin":
        # Both TMPDIR and /tmp lose what was not touched for three days, confstr(3) and tmp_cleaner: a socket never is,
        # and a model that stays loaded would not be reached any more.
        wanted = state / "run"
    else:
        wanted = Path(env.get("TMPDIR") or "/tmp") / f"mlxd-{uid}"
    if len(os.fsencode(wanted)) <= _LONGEST_RUN_DIR:
        return wanted
    import hashlib  # here: 3 ms that hardly anyone needs

    # Two daemons that asked for two long folders must not meet in one short one.
    mark = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:8]
    return Path("/tmp") / f"mlxd-{uid}-{mark}"


def _hub_cache(env: Mapping[str, str], home: Path) -> Path:
    """Return what huggingface_hub itself would take."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if value := env.get(name):
            return _hub_path(value, env, home)
    if value := env.get("HF_HOME"):
        return _hub_path(value, env, home) / "hub"
    cache = env.get("XDG_CACHE_HOME") or str(home / ".cache")
    return _hub_path(cache, env, home) / "huggingface" / "hub"


def _hub_path(value: str, env: Mapping[str, str], home: Path) -> Path:
    from string import Template

    return _expanded(Template(value).safe_substitute(env), home).absolute()
