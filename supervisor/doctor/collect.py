"""Collect the facts about this machine; nothing here judges, and what cannot be found out is left unknown."""

import os
import plistlib
import shutil
import sys
import time
from collections.abc import Mapping
from importlib import metadata, util
from pathlib import Path
from typing import Any

from mlxd.config.hub_cache import HubCache
from mlxd.config.load import load
from mlxd.config.paths import Paths
from mlxd.config.settings import Settings
from mlxd.protocol.errors import ConfigError
from mlxd.supervisor import runfile
from mlxd.supervisor.budget import memory
from mlxd.supervisor.doctor.facts import Facts, ServiceFacts
from mlxd.supervisor.front import listener
from mlxd.supervisor.service import control, plan
from mlxd.supervisor.service.control import Control, ServiceError

_SHOWN = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
)


def of_machine(env: Mapping[str, str], program: list[str], config: Path | None = None) -> Facts:
    """Return what can be known without asking the daemon; `program` is what a service would run."""
    paths = Paths.of(env)
    settings, error = _settings(config, env)
    run = runfile.running(paths.state_dir)
    found = HubCache(paths.hub_cache).scan()
    now, file_now = _clocks(paths.state_dir)
    return Facts(
        platform=sys.platform,
        system=" ".join(os.uname()[index] for index in (0, 2, 4)),
        python=sys.version.split()[0],
        version=metadata.version("mlxd"),
        paths=paths,
        environment=_shown(env),
        settings=settings,
        config_error=error,
        url=run.url if run else None,
        pid=run.pid if run else None,
        started_at=run.started_at if run else None,
        port_holder=None if run or settings is None else _holder(settings),
        service=_service(settings, paths, env, program),
        total_bytes=memory.total_bytes(),
        gpu_bytes=memory.gpu_bytes(),
        available_bytes=memory.available_bytes(),
        hub_exists=paths.hub_cache.is_dir(),
        models=sum(model.folder.problem is None for model in found),
        unusable=tuple((m.id, m.folder.problem) for m in found if m.folder.problem is not None),
        half=half_downloads(paths.hub_cache),
        missing=missing_packages(metadata.requires("mlxd") or []),
        ffmpeg=shutil.which("ffmpeg", path=":".join(plan.SEARCH_PATH)),
        av=util.find_spec("av") is not None,
        free={str(folder): free for folder in _folders(paths) if (free := _free(folder))},
        clock=now,
        file_clock=file_now,
        built_at=_built_at(),
    )


def half_downloads(hub: Path) -> dict[str, int]:
    """Return model -> bytes of files that are still called incomplete."""
    sizes: dict[str, int] = {}
    for path in hub.glob("models--*/blobs/*.incomplete"):
        name = path.parts[-3].removeprefix("models--").replace("--", "/")
        try:
            sizes[name] = sizes.get(name, 0) + path.stat().st_size
        except OSError:
            continue  # it was finished just now
    return sizes


def missing_packages(requirements: list[str]) -> dict[str, tuple[str, ...]]:
    """Return extra -> its packages that are not installed, from the distribution's own list."""
    import re

    found: dict[str, list[str]] = {}
    for line in requirements:
        extra = re.search(r"""extra\s*==\s*["']([\w-]+)["']""", line)
        name = re.match(r"[\w.-]+", line)
        if extra is None or name is None or extra[1] in ("dev", "all"):
            continue
        lacking = found.setdefault(extra[1], [])
        if name[0].lower() != "mlxd" and not _is_installed(name[0]):
            lacking.append(name[0])
    return {extra: tuple(names) for extra, names in found.items()}


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _settings(config: Path | None, env: Mapping[str, str]) -> tuple[Settings | None, str | None]:
    try:
        return load(config, env), None
    except ConfigError as error:
        return None, error.message


def _shown(env: Mapping[str, str]) -> dict[str, str]:
    hidden = plan.SECRETS | {"MLXD_API_KEY"}
    own = {name: value for name, value in env.items() if name.startswith("MLXD_")}
    others = {name: env[name] for name in _SHOWN if env.get(name)}
    return {name: value for name, value in sorted((own | others).items()) if name not in hidden}


def _holder(settings: Settings) -> str | None:
    """Return who has the port; taking it for a moment is the one way to know that it is free."""
    try:
        listener.listen(listener.address_of(settings.server.host), settings.server.port).close()
    except listener.PortTaken as error:
        return str(error).partition(" by ")[2].partition(";")[0]
    except OSError:
        return None
    return None


def _service(
    settings: Settings | None, paths: Paths, env: Mapping[str, str], program: list[str]
) -> ServiceFacts | None:
    found = control.of_user(env)
    try:
        state = found.state()
    except ServiceError:
        return None
    written = _read(found)
    agent: dict[str, Any] = {}
    if written and found.kind == "launchd":
        agent = _agent(written)
    return ServiceFacts(
        kind=found.kind,
        file=str(found.file),
        installed=written is not None,
        is_current=written is None
        or settings is None
        or _is_current(written, found, program, settings, paths, env),
        state=state,
        file_process_type=agent.get("ProcessType", "unset") if agent else None,
        file_exit_timeout=agent.get("ExitTimeOut", 5) if agent else None,
    )


def _is_current(
    written: bytes,
    found: Control,
    program: list[str],
    settings: Settings,
    paths: Paths,
    env: Mapping[str, str],
) -> bool:
    """Tell whether `mlxctl install` would write the same; the options it was given stand in the file alone."""
    plans = (plan.plan(program, settings, paths, env, with_secrets=w) for w in (False, True))
    return any(found.same(written, found.text(wanted)) for wanted in plans)


def _agent(written: bytes) -> dict[str, Any]:
    try:
        found: dict[str, Any] = plistlib.loads(written)
    except (plistlib.InvalidFileException, ValueError):
        return {}
    return found


def _read(found: Control) -> bytes | None:
    try:
        return found.file.read_bytes()
    except OSError:
        return None


def _folders(paths: Paths) -> tuple[Path, ...]:
    return paths.state_dir, paths.log_dir, paths.hub_cache


def _free(folder: Path) -> int | None:
    """Return the bytes free where a folder is or would be."""
    for place in (folder, *folder.parents):
        if place.is_dir():
            return shutil.disk_usage(place).free
    return None


def _clocks(folder: Path) -> tuple[float, float]:
    """Return our time and the disk's."""
    import tempfile

    place = folder if folder.is_dir() else None
    now = time.time()
    try:
        with tempfile.NamedTemporaryFile(dir=place) as file:
            return now, os.fstat(file.fileno()).st_mtime
    except OSError:
        return now, now


def _built_at() -> float:
    return Path(__file__).stat().st_mtime
