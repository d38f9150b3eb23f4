"""Hear from workers what requests have cost whom."""

from collections.abc import Callable

from mlxd.protocol.control import FromWorker, Used
from mlxd.supervisor.lifecycle.process import Callbacks, Child, Launcher


class MeteringLauncher:
    """Obey `Launcher` by another one, and pass on to `charge` what its workers say that was used."""

    def __init__(self, launcher: Launcher, charge: Callable[[str, Used], None]) -> None:
        self._launcher = launcher
        self._charge = charge

    def start(self, name: str, callbacks: Callbacks) -> Child:
        """Start a process. Raises what the launcher raises."""

        def on_message(message: FromWorker) -> None:
            if isinstance(message, Used):
                self._charge(name, message)
            else:
                callbacks.on_message(message)

        own = Callbacks(on_message, callbacks.on_log, callbacks.on_exit)
        return self._launcher.start(name, own)
