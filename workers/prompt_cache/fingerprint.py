"""Name a model so that a state is never given to another one than it came from."""

import hashlib
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

_TEXTS = (
    "config.json",
    "model.safetensors.index.json",
    "adapter_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "chat_template.json",
    "chat_template.jinja",
)
"""Files that count with all they say."""
_WEIGHTS = ("*.safetensors", "*.npz")
"""Files that count with their name, size and time: reading them would take as long as loading the model."""


def fingerprint(model: Path, *, adapter: Path | None = None, extra: Iterable[str] = ()) -> str:
    """Return a name for what computes the states: the model's files, its adapter, mlx-lm's release.

    `extra` names what else changes them or the tokens: a chat template of the user's, a quantised KV cache.
    """
    digest = hashlib.blake2b(digest_size=16)
    _add(digest, "mlx-lm", version("mlx-lm").encode())
    for text in extra:
        _add(digest, "extra", text.encode())
    for role, folder in (("model", model), ("adapter", adapter)):
        if folder is not None:
            _add_folder(digest, role, folder)
    return digest.hexdigest()


def _add_folder(digest: hashlib.blake2b, role: str, folder: Path) -> None:
    for name in _TEXTS:
        if (file := folder / name).is_file():
            _add(digest, f"{role}/{name}", file.read_bytes())
    weights = sorted(file for pattern in _WEIGHTS for file in folder.glob(pattern))
    for file in weights:
        about = file.stat()
        _add(digest, f"{role}/{file.name}", f"{about.st_size} {about.st_mtime_ns}".encode())


def _add(digest: hashlib.blake2b, name: str, content: bytes) -> None:
    """Add a named content; the length before it keeps two of them from being read as one."""
    digest.update(f"{name}\0{len(content)}\0".encode())
    digest.update(content)
