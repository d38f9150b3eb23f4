"""Know every model that can be asked for: configured, found in the Hugging Face cache, embedded.

Nothing here opens a connection. One owner: the supervisor's event loop, or a command.
"""

import time
from collections.abc import Callable, Iterable

from mlxd.config import declared, demo
from mlxd.config.hub_cache import HubCache, HubModel
from mlxd.config.model_folder import ModelFolder
from mlxd.config.names import Names
from mlxd.config.paths import Paths
from mlxd.config.settings import Settings
from mlxd.config.spec import ModelSpec, Origin
from mlxd.protocol.errors import ModelNotFound

__all__ = ["Catalog", "ModelSpec", "build"]

_SCAN_INTERVAL = 1.0
"""Seconds between two looks at the disk that nobody forced."""


class Catalog:
    """Turn names into models; looks at the disk again when a name is unknown or its model was not complete."""

    def __init__(
        self, settings: Settings, hub: HubCache, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._hub = hub
        self._now = now
        self._scanned_at = now()
        self._configured: list[ModelSpec] | None = None
        self._found: tuple[HubModel, ...] = ()
        self._build()

    def resolve(self, name: str) -> ModelSpec:
        """Return the model a name or alias means; raises ModelNotFound with near names.

        The model may not be servable: `ModelSpec.check` raises what a request for it gets.
        """
        spec = self._names.find(name)
        if spec is None or spec.error is not None:
            self.rescan()
            spec = self._names.find(name)
        if spec is None:
            raise ModelNotFound(name, self._names.near(name))
        return spec

    def models(self) -> tuple[ModelSpec, ...]:
        """Return the models people may use, and configured ones that have an error."""
        return self._models

    def names(self) -> tuple[str, ...]:
        """Return every exact name of those models, ids and aliases."""
        return self._names.listed()

    def rescan(self, *, force: bool = False) -> None:
        """Look at the disk again; at most once a second unless forced, so that any request may ask for it."""
        now = self._now()
        if not force and now - self._scanned_at < _SCAN_INTERVAL:
            return
        self._scanned_at = now
        self._build()

    def declare(self, settings: Settings) -> None:
        """Take other settings; requests that resolved a name before keep what they got."""
        self._settings = settings
        self._configured = None
        self._scanned_at = self._now()
        self._build()

    def _build(self) -> None:
        configured = [
            declared.spec(entry, self._settings, self._hub) for entry in self._settings.models
        ]
        found = self._hub.scan() if self._settings.hub else ()
        if configured == self._configured and found == self._found:
            return
        self._configured, self._found = configured, found
        names = Names()
        for spec in configured:
            names.add(spec, [spec.id])
        for spec in configured:
            names.add(spec, spec.aliases)
        for spec in configured:
            if spec.hub_id is not None and _stands_for_its_source(spec):
                names.add(spec, [spec.hub_id])
        listed = list(configured)
        for spec, shown in self._others():
            if names.has(spec.id):
                continue
            names.add(spec, [spec.id, *spec.aliases], listed=shown)
            if shown:
                listed.append(spec)
        self._names, self._models = names, tuple(listed)

    def _others(self) -> Iterable[tuple[ModelSpec, bool]]:
        """Yield what nobody configured, and whether it is fit to be shown."""
        for model in self._found:
            spec = self._found_spec(model.id, "hub", model.folder, model)
            yield spec, model.folder.problem is None
        if self._settings.demo and (folder := demo.find()) is not None:
            yield self._found_spec(demo.ID, "embedded", folder), True

    def _found_spec(
        self, name: str, source: Origin, folder: ModelFolder, model: HubModel | None = None
    ) -> ModelSpec:
        return declared.described(
            folder,
            self._settings.defaults,
            id=name,
            source=source,
            aliases=demo.ALIASES if source == "embedded" else (),
            hub_id=model.id if model else None,
            revision=model.revision if model else None,
        )


def _stands_for_its_source(spec: ModelSpec) -> bool:
    """Tell whether the hub id means this entry too: a cached model with an entry of its own is not a second model."""
    return spec.error is None and spec.adapter is None and spec.chat_template is None


def build(settings: Settings, paths: Paths) -> Catalog:
    """Return the catalogue of what is configured and what is on this disk."""
    return Catalog(settings, HubCache(paths.hub_cache))
