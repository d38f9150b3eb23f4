"""Remember which names became labels, so that those of models and keys that are gone leave with them."""

from collections.abc import Set
from typing import Protocol

from mlxd.supervisor.access.tenant import ANYONE

MODEL, KEY = "model", "key"
WHO = (MODEL, KEY)
"""Labels of what one request did. Only a model of the catalogue and a key of ours ever get here."""


class Labelled(Protocol):
    """A metric with labels."""

    def remove_by_labels(self, labels: dict[str, str]) -> None:
        """Drop the series that have these labels."""
        ...


class Labels:
    """Hold the metrics whose labels are names that come and go, and the names they have."""

    def __init__(self) -> None:
        self._metrics: list[tuple[Labelled, frozenset[str]]] = []
        self._seen: dict[str, set[str]] = {MODEL: set(), KEY: set()}

    def follow(self, metric: Labelled, names: tuple[str, ...]) -> None:
        """Drop series of this metric, too."""
        self._metrics.append((metric, frozenset(names)))

    def who(self, model: str | None, key: str | None) -> tuple[str, str]:
        """Return the labels of a model and a key, both empty where there is none."""
        shown = (model or "", "" if key is None or key == ANYONE else key)
        for name, value in zip(WHO, shown, strict=True):
            if value:
                self._seen[name].add(value)
        return shown

    def keep(self, models: Set[str], keys: Set[str]) -> None:
        """Drop every series of a model or key that is not among these."""
        for name, known in ((MODEL, models), (KEY, keys)):
            for gone in self._seen[name] - known:
                self._seen[name].discard(gone)
                for metric, names in self._metrics:
                    if name in names:
                        metric.remove_by_labels({name: gone})
