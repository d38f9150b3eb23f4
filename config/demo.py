"""Say where the model that comes with mlxd is."""

from pathlib import Path

from mlxd.config import model_folder
from mlxd.config.model_folder import ModelFolder

ID = "mlxd-demo"
ALIASES = ("demo",)
FOLDER = Path(__file__).parent / "demo_model"


def find() -> ModelFolder | None:
    """Return the embedded model, None where this build comes without it."""
    found = model_folder.read(FOLDER, ID)
    return found if found.problem is None else None
