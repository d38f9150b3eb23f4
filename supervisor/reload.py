"""Take a changed configuration while requests run; a mistake in it changes nothing."""

import logging
from collections.abc import Callable

from mlxd.config.settings import Settings
from mlxd.protocol.errors import ConfigError
from mlxd.protocol.journal import ConfigReloaded, ReloadRefused
from mlxd.supervisor.access.audit import Audit
from mlxd.supervisor.logs.journal import Tell, unheard

logger = logging.getLogger("mlxd.reload")

_SECTIONS = ("server", "memory", "defaults", "responses", "media", "tracing")
_TAKEN = frozenset(
    {
        "memory.max_loaded",
        "defaults.idle_timeout",
        "defaults.max_batch",
        "defaults.overflow",
        "defaults.prompt_cache_memory",
        "defaults.prompt_cache_disk",
        "defaults.max_queue",
        "defaults.max_swap_wait",
    }
)
"""Keys of theirs that a running daemon takes; all others are built into what it began with."""
_WHO = "signal"
"""Who sends one is not known; whoever may is this user, or root."""


class Reload:
    """Read the settings again and hand them on: models and their limits change at once.

    A running worker keeps what it was started with. What was bound or built at start is named in the log as waiting
    for a restart.
    """

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        *takers: Callable[[Settings], None],
        tell: Tell = unheard,
        audit: Audit | None = None,
    ) -> None:
        self._began_with = settings
        self._read = read
        self._takers = takers
        self._tell = tell
        self._audit = audit or Audit()

    def __call__(self) -> bool:
        """Reload; tell whether the configuration could be read."""
        try:
            fresh = self._read()
        except ConfigError as error:
            logger.error("reload refused, all stays as it was: %s", error.message)
            self._tell(ReloadRefused(cause=error.message))
            self._audit.write(_WHO, "reload", result=error.code)
            return False
        late = needs_restart(self._began_with, fresh)
        for name in late:
            logger.warning("reload: %s changes with the next start only", name)
        for take in self._takers:
            take(fresh)
        logger.info("reload done models=%d", len(fresh.models))
        self._tell(ConfigReloaded(models=len(fresh.models), needs_restart=late))
        self._audit.write(_WHO, "reload")
        return True


def needs_restart(old: Settings, new: Settings) -> list[str]:
    """Return the changed keys that a running daemon does not take."""
    return [
        f"{section}.{key}"
        for section in _SECTIONS
        for key in getattr(old, section).__struct_fields__
        if f"{section}.{key}" not in _TAKEN
        and getattr(getattr(old, section), key) != getattr(getattr(new, section), key)
    ]
