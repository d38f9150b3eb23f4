"""Find the configuration, lay file and environment over the defaults, and check the whole.

Every error is a ConfigError naming the file and line, or the variable, then the key and what was expected.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import msgspec

from mlxd.config import decode, document, environment
from mlxd.config.document import Document, KeyPath, show
from mlxd.config.paths import Paths
from mlxd.config.settings import ModelEntry, Settings, is_pattern
from mlxd.protocol.errors import ConfigError
from mlxd.protocol.units import quote

DEFAULTS = Path(__file__).parent / "defaults.yaml"


def load(path: Path | None, env: Mapping[str, str]) -> Settings:
    """Return the settings of `path`, of MLXD_CONFIG, or of the user's own file, which may be absent.

    Folders in it are made absolute, from the file's folder.
    """
    file = find(path, env)
    written = document.parse("", "no file") if file is None else document.read(file)
    settings = merge(written, env)
    _check_names(settings, written)
    folder = Path.cwd() if file is None else file.absolute().parent
    return msgspec.structs.replace(
        settings, models=tuple(_absolute(entry, folder) for entry in settings.models)
    )


def find(path: Path | None, env: Mapping[str, str]) -> Path | None:
    """Return the file to read, None where nobody named one and the user has none."""
    if path is not None:
        return _existing(path, "")
    usual = Paths.of(env).config_file
    if env.get("MLXD_CONFIG"):
        return _existing(usual, "MLXD_CONFIG: ")
    return usual if os.path.exists(usual) else None


def _existing(path: Path, named_by: str) -> Path:
    if not os.path.exists(path):
        raise ConfigError(f"{named_by}{path}: no such file")
    return path


def merge(written: Document, env: Mapping[str, str]) -> Settings:
    """Return the defaults under the document's values under the environment's."""
    values = _over(document.read(DEFAULTS).value, written.value)
    overrides = environment.overrides(env)
    for key_path, value in overrides.values():
        values = _set(values, key_path, value)
    try:
        return decode.decode(values, Settings)
    except decode.Mismatch as mismatch:
        raise _error(mismatch, written, {p: name for name, (p, _) in overrides.items()}) from None


def _over(defaults: object, written: object) -> object:
    """Return `written` over `defaults`: sections merge, anything else replaces; an empty section changes nothing."""
    if isinstance(defaults, dict) and isinstance(written, dict):
        merged = {key: _over(defaults.get(key), value) for key, value in written.items()}
        return merged | {key: value for key, value in defaults.items() if key not in written}
    return defaults if written is None and isinstance(defaults, dict | list) else written


def _set(values: object, path: KeyPath, value: object) -> object:
    if not path:
        return value
    # A file whose section is no mapping is wrong anyway; leave it for the check to say so.
    if not isinstance(values, dict):
        return values
    return values | {path[0]: _set(values.get(path[0], {}), path[1:], value)}


def _error(
    mismatch: decode.Mismatch, written: Document, variables: Mapping[KeyPath, str]
) -> ConfigError:
    for length in range(len(mismatch.path), 0, -1):
        if name := variables.get(mismatch.path[:length]):
            message = f"{name}: {show(mismatch.path)}: {mismatch.message}"
            return ConfigError(message, field=show(mismatch.path))
    return written.error(mismatch.path, mismatch.message)


def _check_names(settings: Settings, written: Document) -> None:
    """Raise where one name means two models."""
    owners: dict[str, KeyPath] = {}
    for index, entry in enumerate(settings.models):
        if is_pattern(entry.id):
            path = ("models", index, "id")
            raise written.error(path, f"expected a name without * ? [, got {quote(entry.id)}")
        _claim(entry.id, ("models", index, "id"), owners, written)
    for index, entry in enumerate(settings.models):
        for position, alias in enumerate(entry.aliases):
            _claim(alias, ("models", index, "aliases", position), owners, written)


def _claim(name: str, path: KeyPath, owners: dict[str, KeyPath], written: Document) -> None:
    if first := owners.get(name):
        message = (
            f'expected a name of its own, "{name}" is also {show(first)} on line '
            f"{written.line(first)}"
        )
        raise written.error(path, message)
    owners[name] = path


def is_folder(source: str) -> bool:
    """Tell whether a source names a folder rather than a hub id."""
    return source.startswith(("/", "~", "./", "../")) or source in {".", ".."}


def _absolute(entry: ModelEntry, folder: Path) -> ModelEntry:
    changes: dict[str, str] = {}
    for key in ("source", "draft_model"):
        value = cast(str | None, getattr(entry, key))
        if value is not None and is_folder(value):
            changes[key] = _from(folder, value)
    for key in ("adapter", "chat_template"):
        value = cast(str | None, getattr(entry, key))
        if value is not None:
            changes[key] = _from(folder, value)
    return msgspec.structs.replace(entry, **changes)


def _from(folder: Path, value: str) -> str:
    return os.path.normpath(folder / os.path.expanduser(value))
