"""Give tests the folders of tiny real models, each built once per session."""

import atexit
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

_SCRIPT = Path(__file__).parents[2] / "scripts" / "make-model"


@functools.cache
def _home() -> Path:
    home = Path(tempfile.mkdtemp(prefix="mlxd-models-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return home


@functools.cache
def folder(kind: str, *options: str) -> Path:
    """Return a folder that `scripts/make-model KIND DIR OPTIONS` wrote; not to be changed."""
    made = _home() / "-".join([kind, *(option.strip("-").replace("/", "_") for option in options)])
    command = [str(_SCRIPT), kind, str(made), *options]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return made


def copy(kind: str, to: Path, *options: str) -> Path:
    """Return a copy of a folder that may be changed."""
    shutil.copytree(folder(kind, *options), to)
    return to
