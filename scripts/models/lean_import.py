"""Import the model classes of mlx_lm without the seconds that the rest of it takes."""

import importlib.util
import sys
import types


def spare_transformers() -> None:
    """Put a bare parent package in the place of mlx_lm, whose own one pulls in transformers.

    Only for programs that need nothing else of mlx_lm: call it before the first import of a model.
    """
    spec = importlib.util.find_spec("mlx_lm")
    if "mlx_lm" not in sys.modules and spec is not None and spec.submodule_search_locations:
        package = types.ModuleType("mlx_lm")
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules["mlx_lm"] = package
