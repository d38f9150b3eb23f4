"""Look after what mlx-audio leaves unsaid when it loads a model."""

from pathlib import Path
from typing import Any, cast

from mlx.utils import tree_flatten
from mlx_audio.utils import load_weights

from mlxd.protocol.errors import ModelLoadFailed

_NAMED = 3


def check_complete(model: Any, folder: Path) -> None:
    """Raise ModelLoadFailed where weights are missing: the library would leave random numbers in their place."""
    found = load_weights(folder)
    if hasattr(model, "sanitize"):
        found = model.sanitize(found)
    leaves = cast(list[tuple[str, object]], tree_flatten(model.parameters()))
    missing = sorted({name for name, _ in leaves} - found.keys())
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise ModelLoadFailed(f"{folder}: has no {', '.join(missing[:_NAMED])}{more}")
