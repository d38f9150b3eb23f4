"""Hold all metrics of one daemon: hand each observer out, and write the page."""

import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Protocol

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from starlette.types import Scope

from mlxd.protocol.control import Used
from mlxd.protocol.journal import Entry
from mlxd.supervisor.front.request_trace import Trace
from mlxd.supervisor.logs.journal import Tell
from mlxd.supervisor.metrics.gauges import Gauges
from mlxd.supervisor.metrics.lives import Lives
from mlxd.supervisor.metrics.registry import Registry
from mlxd.supervisor.metrics.requests import Requests
from mlxd.supervisor.metrics.tokens import Tokens
from mlxd.supervisor.ports import Glance

# Not `choose_encoder` of the library: it fails on a version that is no number.
_OPENMETRICS = "application/openmetrics-text"
_OPENMETRICS_TYPE = openmetrics.CONTENT_TYPE_LATEST

Charge = Callable[[str, Used], None]


class Listener(Protocol):
    """Hear what metrics hear."""

    def ended(self, scope: Scope, trace: Trace) -> None:
        """Take a request that has just ended."""
        ...

    def waited(self, model: str, key: str, seconds: float) -> None:
        """Take a request that got its worker."""
        ...

    def used(self, model: str, used: Used) -> None:
        """Take what one request has used."""
        ...

    def happened(self, entry: Entry) -> None:
        """Take an entry of the event log."""
        ...


class Metrics:
    """Know every metric; one app, one of these."""

    def __init__(self, listener: Listener | None = None) -> None:
        """Whatever they are told, `listener` is told, too."""
        self._listener = listener
        self._registry = Registry()
        self._gauges = Gauges(version("mlxd"), time.time())
        self._registry.collectors.register(self._gauges)
        self.requests = Requests(self._registry)
        self.tokens = Tokens(self._registry)
        self.lives = Lives(self._registry)

    def ended(self, scope: Scope, trace: Trace) -> None:
        """Take a request that has just ended, in whatever way."""
        self.requests.ended(scope, trace)
        if self._listener:
            self._listener.ended(scope, trace)

    def waited(self, model: str, key: str, seconds: float) -> None:
        """Take a request that got its worker."""
        self.requests.waited(model, key, seconds)
        if self._listener:
            self._listener.waited(model, key, seconds)

    def listening(self, tell: Tell) -> Tell:
        """Return what tells the event log and counts what it is told."""

        def both(entry: Entry) -> None:
            tell(entry)
            self.lives.happened(entry)
            if self._listener:
                self._listener.happened(entry)

        return both

    def charging(self, charge: Charge) -> Charge:
        """Return what charges whoever pays and counts what was used."""

        def both(model: str, used: Used) -> None:
            charge(model, used)
            self.tokens.used(model, used)
            if self._listener:
                self._listener.used(model, used)

        return both

    def look(self, glance: Glance, *, models: Iterable[str], keys: Iterable[str]) -> None:
        """Take over what is so now.

        Series of models that neither run nor are among these, and of other keys, are dropped for good.
        """
        running = {model.id for model in glance.models}
        self._registry.labels.keep(running | set(models), frozenset(keys))
        self._gauges.show(glance)

    def page(self, accept: str) -> tuple[bytes, str]:
        """Return the page in the format that the header asks for, and its content type; any thread may ask."""
        if _OPENMETRICS in accept.lower():
            page = openmetrics.generate_latest(self._registry.collectors)  # type: ignore[no-untyped-call]
            return page, _OPENMETRICS_TYPE
        return generate_latest(self._registry.collectors), CONTENT_TYPE_PLAIN_0_0_4
