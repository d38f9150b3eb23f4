"""Write folders that look like models, and caches that look like huggingface_hub's; no real weights in them."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

TEXT = {
    "model_type": "qwen3",
    "architectures": ["Qwen3ForCausalLM"],
    "max_position_embeddings": 4096,
}
Content = str | bytes | Mapping[str, object]


def text_files(**config: object) -> dict[str, Content]:
    """Return the files of a complete text model, its config.json changed as told."""
    return {
        "config.json": {**TEXT, **config},
        "model.safetensors": b"w" * 100,
        "tokenizer.json": "{}",
    }


def write(folder: Path, files: Mapping[str, Content]) -> Path:
    """Write files, folders between them included, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_bytes(content))
    return folder


def _bytes(content: Content) -> bytes:
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content)).encode()


class Hub:
    """A Hugging Face cache under a folder: snapshots of links into blobs."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def place(self, hub_id: str) -> Path:
        """Return the folder of a model."""
        return self.root / f"models--{hub_id.replace('/', '--')}"

    def pull(
        self,
        hub_id: str,
        files: Mapping[str, Content] | None = None,
        *,
        revision: str = "c0ffee",
        main: bool = True,
    ) -> Path:
        """Put a revision there as a download does, and return its snapshot."""
        place = self.place(hub_id)
        blobs, snapshot = place / "blobs", place / "snapshots" / revision
        for folder in (blobs, snapshot, place / "refs"):
            folder.mkdir(parents=True, exist_ok=True)
        for name, content in (text_files() if files is None else files).items():
            blob = blobs / f"{revision}-{name.replace('/', '-')}"
            blob.write_bytes(_bytes(content))
            link = snapshot / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(blob, link.parent))
        if main:
            (place / "refs" / "main").write_text(revision)
        return snapshot

    def age(self, hub_id: str, seconds: int = 1_000_000_000) -> None:
        """Make all folders of a model look last changed at that Unix time."""
        for path in [self.place(hub_id), *self.place(hub_id).rglob("*")]:
            if path.is_dir() or path.name == "main":
                os.utime(path, (seconds, seconds))
