"""Find out whether a folder's weights are all there, and how many bytes they are, from names and sizes alone."""

import os
import re
from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mlxd.protocol.kinds import ModelKind

_SHARD = re.compile(r"(.*-)(\d{5})(-of-)(\d{5})(\.safetensors)")
_MOST_SHARDS = 10_000


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


_index_decoder = msgspec.json.Decoder(_Index)


@dataclass(frozen=True)
class Weights:
    """Say what is there and what is missing."""

    size: int
    problem: str | None = None


def measure(folder: Path, names: Set[str], kind: ModelKind) -> Weights:
    """Return the weights of a model folder whose entries are `names`."""
    if kind is ModelKind.IMAGE:
        return _of_components(folder, names)
    # mlx_lm reads model*.safetensors and nothing else.
    prefix = "model" if kind is ModelKind.TEXT else ""
    return _of_folder(folder, names, prefix)


def _of_components(folder: Path, names: Set[str]) -> Weights:
    """Add up a diffusers layout: each part that runs has a folder with weights of its own."""
    parts = [
        n for n in sorted(names) if n.startswith(("transformer", "unet", "vae", "text_encoder"))
    ]
    found = []
    for part in parts:
        try:
            inner = set(os.listdir(folder / part))
        except OSError:
            return Weights(0, f"{part} cannot be read")
        found.append(_of_folder(folder / part, inner, ""))
    problem = next((weights.problem for weights in found if weights.problem), None)
    if not found:
        problem = "it has no weights"
    return Weights(sum(weights.size for weights in found), problem)


def _of_folder(folder: Path, names: Set[str], prefix: str) -> Weights:
    present = {n for n in names if n.startswith(prefix) and n.endswith((".safetensors", ".npz"))}
    try:
        expected = _expected(folder, names, present)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Weights(0, "the index of its weights cannot be read")
    size = 0
    missing = []
    for name in sorted(present | expected):
        found = _size(folder / name)
        size += found
        if not found:
            missing.append(name)
    if missing:
        return Weights(size, f"{_some(missing)} missing")
    if not present:
        return Weights(size, _no_weights(names))
    return Weights(size)


def _expected(folder: Path, names: Set[str], present: Iterable[str]) -> set[str]:
    """Return the files the index names, or those a shard's own name counts."""
    expected: set[str] = set()
    for index in sorted(n for n in names if n.endswith(".safetensors.index.json")):
        expected |= set(_index_decoder.decode((folder / index).read_bytes()).weight_map.values())
    if expected:
        return expected
    for name in present:
        if match := _SHARD.fullmatch(name):
            head, _, of, count, tail = match.groups()
            shards = min(int(count), _MOST_SHARDS)
            expected |= {f"{head}{n:05d}{of}{count}{tail}" for n in range(1, shards + 1)}
    return expected


def _size(file: Path) -> int:
    """Return the file's bytes, 0 where it is absent, a broken link or no path at all."""
    try:
        return file.stat().st_size
    except (OSError, ValueError):
        return 0


def _some(missing: list[str]) -> str:
    rest = f" and {len(missing) - 1} more are" if len(missing) > 1 else " is"
    return f"{missing[0]}{rest}"


def _no_weights(names: Set[str]) -> str:
    if any(name.endswith((".bin", ".pth", ".pt")) for name in names):
        return "its weights are PyTorch's; convert it with `mlx_lm.convert`"
    if any(name.endswith(".gguf") for name in names):
        return "its weights are GGUF; look for an MLX version of it"
    return "it has no weights"
