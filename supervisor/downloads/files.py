"""Choose which files of a repository to download: weights, tokenizer, configuration; never a pickle, never code."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

import msgspec

from mlxd.protocol.errors import InvalidRequest

_WEIGHTS = (".safetensors", ".npz")
_REST = (
    ".json", ".jsonl", ".txt", ".model", ".tiktoken", ".jinja", ".yaml", ".yml", ".wav",
)  # fmt: skip
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_OTHER_FORMATS = {"onnx", "openvino", "coreml", "original", "metal"}
_ETAG = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REPO = re.compile(r"[A-Za-z0-9_][\w.-]*(?:/[A-Za-z0-9_][\w.-]*)?", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9_][\w./-]*", re.ASCII)
_LONGEST = 200


class RepoFile(msgspec.Struct, frozen=True):
    """Name one file of a repository."""

    path: str
    size: int
    etag: str
    """SHA-256 of a large file, git's SHA-1 of a small one; its name in the cache."""


def parse_repo(text: str, revision: str | None = None) -> tuple[str, str | None]:
    """Split `ORG/NAME@REVISION`; raises InvalidRequest where it cannot be a repository of the hub."""
    repo, at, pinned = text.partition("@")
    wanted = pinned if at else revision
    if at and revision not in (None, pinned):
        raise InvalidRequest("revision: the model names another one", field="revision")
    if not _is_name(repo, _REPO) or "--" in repo:
        raise InvalidRequest(
            f"model: expected a repository of the hub such as mlx-community/Qwen3-8B-4bit, got {text[:_LONGEST]!r}",
            field="model",
        )
    if wanted is not None and not _is_name(wanted, _REVISION):
        raise InvalidRequest("revision: expected a branch, a tag or a commit", field="revision")
    return repo, wanted


def _is_name(text: str, shape: re.Pattern[str]) -> bool:
    return len(text) <= _LONGEST and ".." not in text and shape.fullmatch(text) is not None


def choose(repo: str, files: Iterable[RepoFile]) -> list[RepoFile]:
    """Return the files a model needs, weights last; raises InvalidRequest where MLX could read none of them."""
    sane = [file for file in files if _is_sane(file) and not _is_other_format(file.path)]
    weights = _weights(sane)
    if not weights:
        raise InvalidRequest(f"{repo} {_why_none(sane)}", field="model")
    rest = [file for file in sane if file.path.endswith(_REST)]
    return [*rest, *weights]


def weights_bytes(files: Iterable[RepoFile]) -> int:
    """Return the bytes of weights among them."""
    return sum(file.size for file in files if file.path.endswith(_WEIGHTS))


def _weights(files: list[RepoFile]) -> list[RepoFile]:
    tensors = [file for file in files if file.path.endswith(".safetensors")]
    if not tensors:
        return [file for file in files if file.path.endswith(".npz")]
    # Mistral puts the same weights there twice.
    named = [file for file in tensors if not file.path.startswith("consolidated")]
    return named or tensors


def _is_sane(file: RepoFile) -> bool:
    parts = PurePosixPath(file.path).parts
    inside = bool(parts) and not file.path.startswith("/") and ".." not in parts
    return inside and file.size >= 0 and _ETAG.fullmatch(file.etag) is not None


def _is_other_format(path: str) -> bool:
    return PurePosixPath(path).parts[0] in _OTHER_FORMATS and "/" in path


def _why_none(files: list[RepoFile]) -> str:
    if any(file.path.endswith(".gguf") for file in files):
        return "has GGUF weights, which MLX cannot run; look for an MLX version of it"
    if any(file.path.endswith(_PICKLES) for file in files):
        return (
            "has only pickled PyTorch weights, which mlxd never downloads; look for an MLX version"
        )
    return "holds no weights that MLX could load"
