"""Read a model's chat template without its tokenizer."""

from pathlib import Path

import msgspec

from mlxd.config.spec import ModelSpec

_FILE = "chat_template.jinja"
_TOKENIZER = "tokenizer_config.json"


class _Named(msgspec.Struct):
    name: str
    template: str


class _Config(msgspec.Struct):
    chat_template: str | list[_Named] | None = None


def read(spec: ModelSpec) -> str | None:
    """Return the template a model's conversations are written with, None where it has none that can be read."""
    if spec.chat_template is not None:
        return spec.chat_template
    return _in_file(spec.path / _FILE) or _in_config(spec.path / _TOKENIZER)


def _in_file(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _in_config(path: Path) -> str | None:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Config).chat_template
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if found is None or isinstance(found, str):
        return found
    templates = {entry.name: entry.template for entry in found}
    return templates.get("default") or next(iter(templates.values()), None)
