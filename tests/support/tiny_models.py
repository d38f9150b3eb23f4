"""Give tests the folders of tiny real models, each built once and kept for later runs while its recipe is the same."""

import functools
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_SCRIPT = _ROOT / "scripts" / "make-model"
_KEPT = _ROOT / ".pytest_cache" / "models"
_LIBRARIES = ("mlx", "mlx-lm", "mlx-vlm", "mlx-audio", "numpy", "tokenizers", "transformers")


@functools.cache
def _home() -> Path:
    """Return the folder of all models of this recipe: what the scripts say and what the libraries make of it."""
    recipe = hashlib.sha256()
    for file in sorted((_ROOT / "scripts" / "models").iterdir()):
        if file.is_file():
            recipe.update(file.name.encode() + b"\0" + file.read_bytes())
    for name in _LIBRARIES:
        recipe.update(f"{name} {_version(name)}\n".encode())
    home = _KEPT / recipe.hexdigest()[:16]
    home.mkdir(parents=True, exist_ok=True)
    os.utime(home)
    _forget_others(home)
    return home


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _forget_others(home: Path) -> None:
    """Keep the recipes used last, for those who go back and forth, and for a run that is still on."""
    others = sorted((item for item in _KEPT.iterdir() if item != home), key=_used)
    for old in others[:-4]:
        shutil.rmtree(old, ignore_errors=True)


def _used(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return 0


@functools.cache
def folder(kind: str, *options: str) -> Path:
    """Return a folder that `scripts/make-model KIND DIR OPTIONS` wrote; not to be changed."""
    home = _home()
    made = home / "-".join([kind, *map(_named, options)])
    if made.exists():
        return made
    with tempfile.TemporaryDirectory(dir=home, prefix=".") as place:
        fresh = Path(place) / "model"
        command = [str(_SCRIPT), kind, str(fresh), *options]
        subprocess.run(command, check=True, capture_output=True, timeout=280)
        try:
            fresh.rename(made)
        except OSError:  # another process was faster
            if not made.exists():
                raise
    return made


def _named(option: str) -> str:
    """Return what an option adds to a folder's name: of a file its content, wherever it is."""
    if os.path.isfile(option):
        return hashlib.sha256(Path(option).read_bytes()).hexdigest()[:16]
    return option.strip("-").replace("/", "_")


def copy(kind: str, to: Path, *options: str) -> Path:
    """Return a copy of a folder that may be changed."""
    shutil.copytree(folder(kind, *options), to)
    return to
