"""Read MLXD_… variables over the file's values; MLXD_SERVER_PORT is server.port."""

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import inspect

from mlxd.config.decode import nearest
from mlxd.config.document import KeyPath
from mlxd.config.settings import Settings

OTHERS = frozenset(
    {
        "MLXD_API_KEY",
        "MLXD_CONFIG",
        "MLXD_HOME",
        "MLXD_LAUNCHCTL",
        "MLXD_LOG_DIR",
        "MLXD_RUN_DIR",
        "MLXD_STATE_DIR",
        "MLXD_SYSTEMCTL",
        "MLXD_URL",
    }
)
"""Variables that are not keys of the file: where things are, and what `mlxctl` calls."""


def variables() -> dict[str, KeyPath]:
    """Return every variable that stands for a key, and the key's path."""
    return {name: path for name, path, _ in _scalars()}


def overrides(env: Mapping[str, str]) -> dict[str, tuple[KeyPath, object]]:
    """Return variable -> key and plain value; an empty variable counts as not set.

    A text that does not fit its key stays text, so that the check of the whole names it.
    """
    return {
        name: (path, _plain(env[name].strip(), kind))
        for name, path, kind in _scalars()
        if env.get(name, "").strip()
    }


def unknown(env: Mapping[str, str]) -> list[str]:
    """Return a sentence for each MLXD_… variable that means nothing here."""
    known = [*variables(), *sorted(OTHERS)]
    return [
        f"{name}: unknown variable{nearest(name, known)}"
        for name in sorted(env)
        if name.startswith("MLXD_") and name not in known
    ]


def _scalars() -> Iterator[tuple[str, KeyPath, inspect.Type]]:
    for field in _fields(inspect.type_info(Settings)):
        if isinstance(field.type, inspect.StructType):
            for inner in _fields(field.type):
                name = f"MLXD_{field.name}_{inner.name}".upper()
                yield name, (field.name, inner.name), inner.type
        elif not isinstance(field.type, inspect.VarTupleType):
            yield f"MLXD_{field.name}".upper(), (field.name,), field.type


def _fields(kind: inspect.Type) -> tuple[inspect.Field, ...]:
    assert isinstance(kind, inspect.StructType)
    return kind.fields


def _plain(text: str, kind: inspect.Type) -> object:
    match kind:
        case inspect.VarTupleType():
            return [item.strip() for item in text.split(",") if item.strip()]
        case inspect.BoolType():
            return _converted(text, bool)
        case inspect.IntType():
            return _converted(text, int)
        case inspect.FloatType():
            return _converted(text, float)
        case _:
            return text


def _converted(text: str, kind: type[bool] | type[int] | type[float]) -> object:
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError:
        return text
