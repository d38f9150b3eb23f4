"""Write JSON that no library would: keys twice, numbers without end, halves of characters."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Verbatim:
    """Hold bytes that stand in a body as they are, JSON or not."""

    content: bytes


@dataclass(frozen=True)
class Twice:
    """Hold what stands in the place of one value, one after the other."""

    values: tuple[Any, ...]


def write(value: Any) -> bytes:
    """Return a value as JSON, except where it was made not to be."""
    match value:
        case Verbatim():
            return value.content
        case dict():
            pairs = [
                json.dumps(str(key)).encode() + b": " + write(one)
                for key, held in value.items()
                for one in _each(held)
            ]
            return b"{" + b", ".join(pairs) + b"}"
        case list():
            return b"[" + b", ".join(write(one) for held in value for one in _each(held)) + b"]"
        case _:
            return json.dumps(value).encode()


def _each(held: Any) -> tuple[Any, ...]:
    if not isinstance(held, Twice):
        return (held,)
    return tuple(one for value in held.values for one in _each(value))
