"""Describe Ollama's lists of models on the wire: those on the disk, those that run, and one of them."""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256

import msgspec

_PACKING = 0.0625
"""Bytes that MLX's quantisation adds to each weight: a scale and a bias of two bytes for 64 of them."""
_PLAIN_BYTES = 2.0
_ROLE = re.compile(r"For[A-Z]\w*$")


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """Say what kind of model it is, in the terms of Ollama's clients."""

    parent_model: str = ""
    format: str = "safetensors"
    family: str
    families: Sequence[str]
    parameter_size: str
    quantization_level: str


class ListedModel(msgspec.Struct, frozen=True, kw_only=True):
    """Describe a model that can be asked for."""

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: Details


class RunningModel(msgspec.Struct, frozen=True, kw_only=True):
    """Describe a model that has a worker."""

    name: str
    model: str
    size: int
    digest: str
    details: Details
    expires_at: str
    size_vram: int
    context_length: int | None


class Tags(msgspec.Struct, frozen=True):
    """Answer `/api/tags`."""

    models: Sequence[ListedModel]


class Running(msgspec.Struct, frozen=True):
    """Answer `/api/ps`."""

    models: Sequence[RunningModel]


class ShowRequest(msgspec.Struct, frozen=True):
    """Ask about one model; older clients call it `name`."""

    model: str | None = None
    name: str | None = None


class PullRequest(ShowRequest, frozen=True):
    """Ask for a model to be downloaded, or to be deleted."""

    stream: bool | None = None
    """Streams unless it says false."""


class PullStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """Say how far a download is, in bytes; the last one is `success`."""

    status: str
    digest: str | None = None
    total: int | None = None
    completed: int | None = None


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """Answer `/api/show`; there is no modelfile behind a model here."""

    license: str = ""
    modelfile: str = ""
    parameters: str = ""
    template: str
    details: Details
    model_info: Mapping[str, object]
    capabilities: Sequence[str]
    modified_at: str


class Version(msgspec.Struct, frozen=True):
    """Answer `/api/version`: the release of Ollama whose API this is, by which clients choose, and our own."""

    version: str
    mlxd: str


def family(architecture: str) -> str:
    """Return the family of an architecture such as `Qwen3ForCausalLM`."""
    return _ROLE.sub("", architecture).lower()


def parameter_count(weights_bytes: int, bits: int | None) -> int:
    """Return about how many weights so many bytes hold."""
    each = _PLAIN_BYTES if bits is None else bits / 8 + _PACKING
    return round(weights_bytes / each)


def parameter_size(count: int) -> str:
    """Write a number of weights the way people say it: `7.6B`, `596M`, `12K`."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if count >= size:
            shown = f"{count / size:.1f}" if count < 100 * size else f"{count / size:.0f}"
            return f"{shown}{unit}"
    return str(count)


def digest(model_id: str, revision: str | None) -> str:
    """Return what stands for a model's content: the same for the same revision of it."""
    return sha256(f"{model_id}@{revision or ''}".encode()).hexdigest()
