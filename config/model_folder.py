"""Read from a model's folder what it is and whether it can be served; no weight is read."""

import json
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec

from mlxd.config import architectures, kv_cache, weights
from mlxd.config.model_kind import architecture, kind_of
from mlxd.config.window import context_length
from mlxd.protocol.kinds import ModelKind

_TOKENIZERS = {
    "tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt", "tekken.json",
}  # fmt: skip
_READS_TEXT = {ModelKind.TEXT, ModelKind.VISION, ModelKind.EMBEDDING, ModelKind.RERANK}
_ARTICLE = {"model_file": "a model_file", "auto_map": "an auto_map"}
_decoder = msgspec.json.Decoder(dict[str, object])


@dataclass(frozen=True, kw_only=True)
class ModelFolder:
    """Say what stands in a folder."""

    path: Path
    kind: ModelKind = ModelKind.TEXT
    architecture: str = ""
    context_length: int | None = None
    weights_bytes: int = 0
    quantization_bits: int | None = None
    kv_bytes_per_token: int | None = None
    """What a token takes in the cache; None where config.json does not say."""
    created: int = 0
    """When its config.json came here, in Unix seconds."""
    missing: str | None = None
    """What is not there, as the end of a sentence; a download would bring it."""
    unusable: str | None = None
    """Why it cannot be loaded although it is complete."""
    code: str | None = None
    """What of its config.json wants to run code of the folder's own."""

    @property
    def problem(self) -> str | None:
        """Why it cannot be loaded; None where it is complete, known and runs no code of its own."""
        return self.why_not(trusted=False)

    def why_not(self, *, trusted: bool) -> str | None:
        """Return why it cannot be loaded by a user who does, or does not, trust its code."""
        untrusted = (
            None
            if trusted or self.code is None
            else (
                f"config.json names {_ARTICLE[self.code]}, code of its own to run; "
                "that needs `trust_remote_code: true` in its entry under `models`"
            )
        )
        return self.missing or untrusted or self.unusable


def read(path: Path, name: str | None = None) -> ModelFolder:
    """Return what stands at `path`; never raises. `name` is the hub id where the folder's own name says nothing."""
    try:
        names = weights.entries(path)
    except (FileNotFoundError, NotADirectoryError):
        return ModelFolder(path=path, missing="there is no such folder")
    except (OSError, ValueError) as error:
        return ModelFolder(path=path, missing=f"the folder cannot be read: {error}")
    main = "model_index.json" if "model_index.json" in names else "config.json"
    if main not in names:
        return ModelFolder(path=path, missing="it has no config.json")
    try:
        config, created = _config(path / main)
    except (OSError, ValueError, RecursionError) as error:
        return ModelFolder(path=path, missing=f"{main} cannot be read: {error}")
    return _described(path, names, config, created, name or path.name)


def _described(
    path: Path, names: Set[str], config: dict[str, object], created: int, name: str
) -> ModelFolder:
    kind = kind_of(config, names, name)
    measured = weights.measure(path, names, kind or ModelKind.TEXT)
    return ModelFolder(
        path=path,
        kind=kind or ModelKind.TEXT,
        architecture=architecture(config),
        context_length=context_length(config),
        weights_bytes=measured.size,
        quantization_bits=_bits(config),
        kv_bytes_per_token=kv_cache.bytes_per_token(config),
        created=created,
        missing=measured.missing or _missing(path, names, kind),
        unusable=_unusable(config, kind) or measured.unusable,
        code=architectures.code_of(config, kind),
    )


def _config(file: Path) -> tuple[dict[str, object], int]:
    content = file.read_bytes()
    created = int(file.stat().st_mtime)
    try:
        return _decoder.decode(content), created
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Python's own reader takes the Infinity that some state-space models write.
        config = json.loads(content)
        if not isinstance(config, dict):
            raise ValueError("expected keys and values") from None
        return cast(dict[str, object], config), created


def _missing(path: Path, names: Set[str], kind: ModelKind | None) -> str | None:
    if kind not in _READS_TEXT:
        return None
    tokenizers = sorted(filter(_is_tokenizer, names))
    if not tokenizers:
        return "it has no tokenizer"
    broken = [name for name in tokenizers if not (path / name).exists()]
    return f"{broken[0]} is missing" if broken else None


def _unusable(config: dict[str, object], kind: ModelKind | None) -> str | None:
    if kind is None:
        return "its config.json fits no kind of model that mlxd knows"
    if kind is ModelKind.VISION:
        return architectures.why_blind(config)
    if kind is ModelKind.EMBEDDING:
        return architectures.why_no_encoder(config, architectures.EMBEDDERS)
    if kind is ModelKind.RERANK:
        return architectures.why_no_encoder(config, architectures.RERANKERS)
    if kind is ModelKind.TRANSCRIPTION:
        return architectures.why_deaf(config)
    if kind is ModelKind.IMAGE:
        return architectures.why_no_painter(config)
    return architectures.why_not(config) if kind is ModelKind.TEXT else None


def _is_tokenizer(name: str) -> bool:
    return name in _TOKENIZERS or name.endswith(".tiktoken")


def _bits(config: dict[str, object]) -> int | None:
    for key in ("quantization", "quantization_config"):
        value = config.get(key)
        if isinstance(value, dict) and isinstance(bits := value.get("bits"), int):
            return bits
    return None
