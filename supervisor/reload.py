"""Take a changed configuration while requests run; a mistake in it changes nothing."""

import logging
from collections.abc import Callable

from mlxd.config.settings import Settings
from mlxd.protocol.errors import ConfigError
from mlxd.protocol.journal import ConfigReloaded, ReloadRefused
from mlxd.supervisor.access.audit import Audit
from mlxd.supervisor.logs.journal import Tell, unheard

logger = logging.getLogger("mlxd.reload")

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
        self._settings = settings
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
        late = needs_restart(self._settings, fresh)
        for name in late:
            logger.warning("reload: %s changes with the next start only", name)
        for take in self._takers:
            take(fresh)
        self._settings = fresh
        logger.info("reload done models=%d", len(fresh.models))
        self._tell(ConfigReloaded(models=len(fresh.models), needs_restart=late))
        self._audit.write(_WHO, "reload")
        return True


def needs_restart(old: Settings, new: Settings) -> list[str]:
    """Return the changed keys that a running daemon does not take."""
    changed = [
        f"server.{key}"
        for key in old.server.__struct_fields__
        if getattr(old.server, key) != getattr(new.server, key)
    ]
    if (old.memory.budget, old.memory.wired) != (new.memory.budget, new.memory.wired):
        changed.append("memory.budget")
    if old.defaults.standby_workers != new.defaults.standby_workers:
        changed.append("defaults.standby_workers")
    return changed
