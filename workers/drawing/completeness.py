"""Tell which weights a folder left out: mlx-vlm would leave random numbers in their place, and draw with them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from mlx.nn.layers.base import Module
from mlx.utils import tree_flatten

from mlxd.protocol.errors import ModelLoadFailed

_NAMED = 3
_DERIVED = ("inv_freq", "rotary")
"""What networks compute themselves, whatever a folder holds."""

Check = Callable[[Mapping[str, Any]], None]


@contextmanager
def recorded() -> Iterator[Check]:
    """Note what each network is given while a model loads; yields what raises ModelLoadFailed where some is missing."""
    given: dict[int, tuple[Any, set[str]]] = {}
    original = Module.update

    def update(self: Any, parameters: Any, strict: bool = True) -> Any:
        _, names = given.setdefault(id(self), (self, set()))
        names.update(_names(parameters))
        return original(self, parameters, strict)

    Module.update = update  # type: ignore[method-assign]
    try:
        yield lambda parts: _check(parts, {number: names for number, (_, names) in given.items()})
    finally:
        Module.update = original  # type: ignore[method-assign]


def _check(parts: Mapping[str, Any], given: Mapping[int, set[str]]) -> None:
    for part, network in parts.items():
        wanted = {name for name in _names(network.parameters()) if name.endswith("weight")}
        absent = wanted - given.get(id(network), set())
        missing = sorted(name for name in absent if not any(word in name for word in _DERIVED))
        if missing:
            more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
            raise ModelLoadFailed(f"its {part} has no {', '.join(missing[:_NAMED])}{more}")


def _names(tree: Any) -> set[str]:
    return {name for name, _ in cast(list[tuple[str, object]], tree_flatten(tree))}
