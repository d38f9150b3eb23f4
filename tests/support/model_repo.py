"""Give hubs a model to serve: the embedded one, under another name, with what repositories have besides."""

from collections.abc import Mapping
from pathlib import Path

from support.daemon import Home

from mlxd.config import demo

REPO = "tiny-org/tiny-model"
WEIGHTS = "model.safetensors"


def model_files() -> dict[str, bytes]:
    """Return the files of a repository: a model that runs, and files that nobody should download."""
    folder = demo.find()
    assert folder is not None
    files = {path.name: path.read_bytes() for path in folder.path.iterdir() if path.is_file()}
    return {**files, "pytorch_model.bin": b"pickled", "modeling_tiny.py": b"raise SystemExit"}


def cached(home: Home) -> list[str]:
    """Return the names of all files in a home's cache, links included."""
    cache = home.folder / ".cache/huggingface/hub"
    return sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if not path.is_dir())


def partial_bytes(home: Home) -> int:
    """Return how much of unfinished weights is in a home's cache; what is finished meanwhile is no part of it.

    Their names are hashes of another length than those of the small files, which come at the same time.
    """
    cache = home.folder / ".cache/huggingface/hub"
    return sum(map(_size, cache.rglob("?" * 64 + ".incomplete")))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def wanted_files() -> Mapping[str, bytes]:
    """Return those that a pull should bring."""
    return {name: data for name, data in model_files().items() if name.endswith((".json", WEIGHTS))}
