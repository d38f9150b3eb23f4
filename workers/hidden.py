"""Keep libraries that nothing here needs from being found, even where they are installed."""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

HIDDEN = frozenset({"torch", "torchaudio", "torchvision"})
"""Transformers would import these where it finds them: seconds, and half a gigabyte."""


class Finder(PathFinder):
    """Find everything but what is hidden."""

    @classmethod
    def find_spec(
        cls,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return where a module is, None where it is hidden or is not there."""
        if fullname in HIDDEN:
            return None
        return super().find_spec(fullname, path, target)


def hide() -> None:
    """Hide them from every import after this call.

    A None in sys.modules would do for transformers and break scipy, which looks into what stands there.
    """
    sys.meta_path[:] = [Finder if finder is PathFinder else finder for finder in sys.meta_path]
