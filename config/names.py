"""Find the model a name means."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from mlxd.config.settings import is_pattern
from mlxd.config.spec import ModelSpec

_LONGEST_NAME = 200
"""Longer ones match nothing near; comparing them would only cost time."""


class Names:
    """Map names to models: exact names first, then patterns, the longer before the shorter.

    Where two models claim one exact name the one added first keeps it.
    """

    def __init__(self) -> None:
        self._exact: dict[str, ModelSpec] = {}
        self._patterns: list[tuple[str, ModelSpec]] = []
        self._listed: dict[str, None] = {}

    def add(self, spec: ModelSpec, names: Iterable[str], *, listed: bool = True) -> None:
        """Let `names` mean `spec`; those not listed are found, but never offered."""
        for name in names:
            if is_pattern(name):
                self._patterns.append((name, spec))
                continue
            self._exact.setdefault(name, spec)
            if listed:
                self._listed[name] = None
        self._patterns.sort(key=lambda entry: -len(entry[0]))

    def find(self, name: str) -> ModelSpec | None:
        """Return the model a name means."""
        if (spec := self._exact.get(name)) is not None:
            return spec
        return next((s for pattern, s in self._patterns if fnmatchcase(name, pattern)), None)

    def has(self, name: str) -> bool:
        """Tell whether an exact name is taken."""
        return name in self._exact

    def listed(self) -> tuple[str, ...]:
        """Return the exact names people may use, in order of precedence."""
        return tuple(self._listed)

    def near(self, name: str) -> tuple[str, ...]:
        """Return up to three names that look like `name`, whatever the case and the organisation."""
        import difflib  # here: only mistakes need it

        if len(name) > _LONGEST_NAME:
            return ()
        folded: dict[str, str] = {}
        for known in self._listed:
            folded.setdefault(known.casefold(), known)
            folded.setdefault(known.casefold().rpartition("/")[2], known)
        wanted = name.casefold()
        found = difflib.get_close_matches(wanted, folded, n=6)
        if not found:
            found = difflib.get_close_matches(wanted.rpartition("/")[2], folded, n=6)
        return tuple(dict.fromkeys(folded[key] for key in found))[:3]
