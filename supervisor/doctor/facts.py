"""Hold what the checks judge; collected once, judged without asking anything again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mlxd.config.paths import Paths
from mlxd.config.settings import Settings
from mlxd.supervisor.service.control import State


@dataclass(frozen=True, kw_only=True)
class ServiceFacts:
    """How the operating system runs the daemon."""

    kind: str
    file: str
    installed: bool
    is_current: bool
    """Whether installing now would write the same file."""
    state: State
    file_process_type: str | None = None
    file_exit_timeout: int | None = None


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What came of making the demo model say one token."""

    error: str | None = None
    token_seconds: float = 0.0
    was_loaded: bool = False
    wired_limit: int | None = None
    """What the worker's MLX has in force after it generated."""
    footprint: int = 0
    """Bytes the worker's process took."""
    freed: int = 0
    wired_before: int | None = None
    """Bytes the whole machine had wired before the model was loaded, while it was, and after it was unloaded."""
    wired_during: int | None = None
    wired_after: int | None = None
    is_gone: bool | None = None
    """Whether the process had ended when the unload answered; None where it was not unloaded."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that is known; None = could not be found out."""

    platform: str
    system: str
    python: str
    version: str
    paths: Paths
    environment: Mapping[str, str] = field(default_factory=dict)
    """The variables that decide where things are; no secrets."""
    settings: Settings | None = None
    config_error: str | None = None
    url: str | None = None
    """Where the daemon listens, None where none runs."""
    pid: int | None = None
    daemon_error: str | None = None
    """Why it does not answer."""
    started_at: float | None = None
    port_holder: str | None = None
    """Who has the configured port while no daemon of ours runs."""
    service: ServiceFacts | None = None
    total_bytes: int = 0
    gpu_bytes: int = 0
    available_bytes: int = 0
    hub_exists: bool = False
    models: int = 0
    """Complete models of the cache."""
    unusable: tuple[tuple[str, str], ...] = ()
    """Models of the cache that cannot be served, and why."""
    half: Mapping[str, int] = field(default_factory=dict)
    """Model -> bytes of downloads that were not finished."""
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Extra -> packages of it that are not installed; empty where it is complete."""
    ffmpeg: str | None = None
    av: bool = False
    free: Mapping[str, int] = field(default_factory=dict)
    """Folder -> bytes free on its disk."""
    clock: float = 0.0
    file_clock: float = 0.0
    """The time the disk gave to a file written just now."""
    built_at: float = 0.0
    """When this mlxd was installed: no clock may show less."""
    probe: Probe | None = None
    host_status: int | None = None
    """HTTP status of a request under the name host.docker.internal."""
    container: Literal["no docker", "no image"] | bool | None = None
    """Whether a container reached the daemon, or why that was not tried."""
    container_says: str = ""
