"""Find out whether a folder's weights are all there, and how many bytes they are, from names and sizes alone."""

import os
import re
from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mlxd.protocol.kinds import ModelKind

_SHARD = re.compile(r"(.*-)(\d{5})(-of-)(\d{5})(\.safetensors)")
_INDEX = ".safetensors.index.json"
_MOST_SHARDS = 10_000
_PARTS = ("transformer", "unet", "vae", "text_encoder")


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


_index_decoder = msgspec.json.Decoder(_Index)


@dataclass(frozen=True)
class Weights:
    """Say what is there; `missing` is what a download would bring, `unusable` what it would not."""

    size: int
    missing: str | None = None
    unusable: str | None = None


def entries(folder: Path) -> set[str]:
    """Return the names in a folder. Raises OSError.

    A Mac keeps what FAT, exFAT and network disks have no room for in files of its own beside the real ones, `._NAME`.
    """
    return {name for name in os.listdir(folder) if not name.startswith("._")}


def measure(folder: Path, names: Set[str], kind: ModelKind) -> Weights:
    """Return the weights of a model folder whose entries are `names`."""
    if kind is ModelKind.IMAGE:
        return _of_parts(folder, names)
    if kind is ModelKind.TEXT:
        # mlx_lm reads model*.safetensors and nothing else.
        return _of_folder(folder, names, "model", (".safetensors",))
    return _of_folder(folder, names, "", (".safetensors", ".npz"))


def _of_parts(folder: Path, names: Set[str]) -> Weights:
    """Add up a diffusers layout: each part that runs has a folder with weights of its own."""
    parts = [n for n in sorted(names) if n.startswith(_PARTS) and (folder / n).is_dir()]
    size = 0
    for part in parts:
        inner = entries(folder / part)
        found = _of_folder(folder / part, inner, "", (".safetensors",))
        if found.missing or found.unusable:
            return Weights(size, f"{part}: {found.missing or found.unusable}")
        size += found.size
    return Weights(size) if parts else Weights(0, "it has no weights")


def _of_folder(folder: Path, names: Set[str], prefix: str, suffixes: tuple[str, ...]) -> Weights:
    present = {n: _size(folder / n) for n in names if n.startswith(prefix) and n.endswith(suffixes)}
    absent = _absent(_all_shards(present), present)
    # Most names say how many files there are; the index is read only where they do not.
    if absent or not any(map(_tells_the_rest, present)):
        try:
            indexed = _indexed(folder, names)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Weights(0, "the index of its weights cannot be read")
        absent = _absent(indexed, present) if indexed else absent
    size = sum(present.values())
    if absent:
        return Weights(size, _some(absent))
    if not present:
        return Weights(size, *_no_weights(names))
    return Weights(size)


def _all_shards(present: Iterable[str]) -> set[str]:
    """Return the files there should be: those present, and all that a shard's name counts."""
    shards = set(present)
    for name in present:
        if match := _SHARD.fullmatch(name):
            head, _, of, count, tail = match.groups()
            total = min(int(count), _MOST_SHARDS)
            shards |= {f"{head}{n:05d}{of}{count}{tail}" for n in range(1, total + 1)}
    return shards


def _tells_the_rest(name: str) -> bool:
    return name == "model.safetensors" or _SHARD.fullmatch(name) is not None


def _indexed(folder: Path, names: Set[str]) -> set[str]:
    files: set[str] = set()
    for index in names:
        if index.endswith(_INDEX):
            files |= set(_index_decoder.decode((folder / index).read_bytes()).weight_map.values())
    return files


def _absent(files: Iterable[str], present: dict[str, int]) -> list[str]:
    return sorted(name for name in files if not present.get(name))


def _size(file: Path) -> int:
    """Return the file's bytes, 0 where it is a broken link."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _some(missing: list[str]) -> str:
    if len(missing) == 1:
        return f"{missing[0]} is missing"
    return f"{missing[0]} and {len(missing) - 1} more are missing"


def _no_weights(names: Set[str]) -> tuple[str | None, str | None]:
    if any(name.endswith((".bin", ".pth", ".pt")) for name in names):
        return None, "its weights are PyTorch's; `mlx_lm.convert` makes an MLX model of them"
    if any(name.endswith(".gguf") for name in names):
        return None, "its weights are GGUF; look for an MLX version of it"
    return "it has no weights", None
