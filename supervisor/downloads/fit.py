"""Say whether this machine's memory holds a model, before it is downloaded."""

from pathlib import Path

from mlxd.config.paths import Paths
from mlxd.config.settings import Settings
from mlxd.supervisor.budget import memory
from mlxd.supervisor.budget.needs import Size, need


def budget(settings: Settings) -> int:
    """Return the bytes that all models may take together."""
    return settings.memory.budget_bytes(memory.gpu_bytes())


def fits(weights_bytes: int, budget_bytes: int) -> bool:
    """Tell whether a budget holds a model with so many bytes of weights."""
    return need(Size(weights_bytes), None, budget_bytes) <= budget_bytes


def journal_of(paths: Paths) -> Path:
    """Return the folder of the notes on what is not finished."""
    return paths.state_dir / "downloads"
