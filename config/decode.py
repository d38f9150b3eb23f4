"""Check plain values against a struct and build it; the first mismatch ends it, in the order of the file.

msgspec's own decoder does the same for the wire; here a person reads the errors, so they say what to write instead.
"""

import re
from collections.abc import Sequence
from typing import TypeVar, cast

from msgspec import inspect

from mlxd.config.document import KeyPath
from mlxd.protocol.units import parse_duration, parse_size, quote

T = TypeVar("T")

_ADDRESS = re.compile(r"https?://[^\s@?#/]+(/[^\s@?#]*)?")
_EXPONENT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")
"""Numbers of JSON that are text to YAML: 1e-05."""
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


class Mismatch(Exception):
    """Say which value is wrong and what was expected."""

    def __init__(self, path: KeyPath, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


def decode(value: object, kind: type[T]) -> T:
    """Return a struct of `kind`; raises Mismatch."""
    return cast(T, _decode(value, inspect.type_info(kind), ()))


def nearest(name: str, known: Sequence[str]) -> str:
    """Return `; did you mean X?` where a known name is near, else nothing."""
    import difflib  # here: only mistakes need it

    folded = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.casefold()[:100], folded, n=1)
    return f"; did you mean {folded[near[0]]}?" if near else ""


def _decode(value: object, kind: inspect.Type, path: KeyPath) -> object:
    unit = None
    if isinstance(kind, inspect.Metadata):
        unit = (kind.extra or {}).get("unit")
        kind = kind.type
    if unit:
        return _with_unit(value, str(unit), kind, path)
    match kind:
        case inspect.UnionType():
            if value is None:
                return None
            inner = next(t for t in kind.types if not isinstance(t, inspect.NoneType))
            return _decode(value, inner, path)
        case inspect.StructType():
            return _struct(value, kind, path)
        case inspect.VarTupleType():
            if not isinstance(value, list):
                raise _wrong("a list", value, path)
            return tuple(_decode(v, kind.item_type, (*path, i)) for i, v in enumerate(value))
        case inspect.LiteralType():
            if not any(value == known and type(value) is type(known) for known in kind.values):
                raise _wrong("one of " + ", ".join(map(str, kind.values)), value, path)
        case inspect.StrType():
            _check_text(value, path)
        case inspect.BoolType():
            if not isinstance(value, bool):
                raise _wrong("true or false", value, path)
        case inspect.IntType():
            _check_whole(value, kind, path)
        case inspect.FloatType():
            return _number(value, kind, path)
        case _:
            raise TypeError(f"no rule for {kind}")
    return value


def _struct(value: object, kind: inspect.StructType, path: KeyPath) -> object:
    if not isinstance(value, dict):
        raise _wrong("keys and values", value, path)
    fields = {field.name: field for field in kind.fields}
    built: dict[str, object] = {}
    for key, item in value.items():
        if key not in fields:
            raise Mismatch((*path, key), f"unknown key{nearest(key, list(fields))}")
        built[key] = _decode(item, fields[key].type, (*path, key))
    for name, field in fields.items():
        if field.required and name not in built:
            raise Mismatch(path, f"the key {name} is missing")
    return kind.cls(**built)


def _with_unit(value: object, unit: str, kind: inspect.Type, path: KeyPath) -> object:
    try:
        match unit:
            case "duration":
                seconds = parse_duration(value)
                if (
                    isinstance(kind, inspect.FloatType)
                    and kind.gt is not None
                    and seconds <= kind.gt
                ):
                    raise _wrong("a duration longer than 0", value, path)
                return seconds
            case "size":
                return parse_size(value)
            case "collector":
                return _address(value)
            case _:
                return _budget(value)
    except ValueError as error:
        raise Mismatch(path, str(error)) from None


def _address(value: object) -> str:
    """Return the address; what is secret has no place in one that logs and reports show."""
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        raise ValueError(
            'expected an address such as "http://127.0.0.1:4318", with no user, password or query in it'
        )
    return value


def _budget(value: object) -> str:
    percent = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if percent and 0 < float(percent[1]) <= 100:
        return f"{percent[1]}%"
    try:
        size = parse_size(value)
    except ValueError:
        size = 0
    if size == 0:
        raise ValueError(
            f'expected a share such as "75%" or a size such as "48GB", got {_got(value)}'
        )
    return str(size)


def _check_text(value: object, path: KeyPath) -> None:
    if not isinstance(value, str):
        quote = isinstance(value, int | float)
        raise _wrong("text in quotes" if quote else "text", value, path)
    if not value.strip():
        raise _wrong("text that is not empty", value, path)


def _check_whole(value: object, kind: inspect.IntType, path: KeyPath) -> None:
    least, most = kind.ge or 0, kind.le
    size = f"from {least} to {most}" if most is not None else f"of at least {least}"
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= least
    if not fits or (most is not None and cast(int, value) > most):
        raise _wrong(f"a whole number {size}", value, path)


def _number(value: object, kind: inspect.FloatType, path: KeyPath) -> float:
    least = f"of at least {kind.ge:g}" if kind.gt is None else f"above {kind.gt:g}"
    size = f"{least} and at most {kind.le:g}"
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(f"a number {size}", value, path)
    above = value > kind.gt if kind.gt is not None else value >= cast(float, kind.ge)
    if not above or not value <= cast(float, kind.le):
        raise _wrong(f"a number {size}", value, path)
    return float(value)


def _wrong(expected: str, value: object, path: KeyPath) -> Mismatch:
    return Mismatch(path, f"expected {expected}, got {_got(value)}")


def _got(value: object) -> str:
    match value:
        case dict():
            return "keys and values"
        case list():
            return "a list"
        case None:
            return "nothing"
        case _:
            return quote(value)
