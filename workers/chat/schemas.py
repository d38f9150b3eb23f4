"""Prepare JSON schemas for the grammar: how much white space, which objects, what can't be counted."""

from collections.abc import Iterator, Mapping
from typing import Final

Schema = Mapping[str, object]

_SPACES: Final = r" {1,2}|\n {0,64}|\n\t{0,16}"
"""Between the tokens of JSON: enough for any usual indentation, too little for a model to lose itself in."""
_ESCAPES: Final = 'nrbtf\\"'
"""Without \\u, by which a key could be written that escapes its schema: `\\u0061` for `a`."""
LOOSE: Final = {"whitespace_pattern": _SPACES, "json_allowed_escapes": _ESCAPES}
"""For what a person or a program reads: compact and indented JSON."""
AS_TEMPLATES_DO: Final = {
    "whitespace_flexible": False, "item_separator": ", ", "key_separator": ": ", "json_allowed_escapes": _ESCAPES,
}  # fmt: skip
"""For the arguments of calls: as chat templates write them and models have learned them."""
_DATA: Final = frozenset({"const", "default", "enum", "example", "examples"})
"""Keywords that hold JSON, not schemas."""
_NAMED: Final = frozenset(
    {"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"}
)
"""Keywords that hold schemas by names of the caller's choice."""
_CLOSE: Final = 1e-6
"""How near to a bound that it must not reach a number may come."""
PLAIN_OBJECT: Final = frozenset(
    {"$defs", "$schema", "additionalProperties", "definitions", "properties", "required"}
)
"""Keywords of an object that is nothing but named properties."""

ANY_OBJECT: Final[Schema] = {"type": "object"}


def grammar(schema: Schema | bool, options: Mapping[str, object]) -> dict[str, object]:
    """Return the grammar of a schema; whatever options it carries itself are overruled."""
    if schema is False:
        return {"json_schema": False}
    whole = _kept_off(schema) if isinstance(schema, Mapping) else {}
    return {"json_schema": {**whole, "x-guidance": dict(options)}}


def of_object(schema: Schema | None) -> Schema:
    """Return a schema for arguments, which are an object even where it doesn't say so."""
    return {"type": "object", **(schema or {})}


def uncountable(schema: object) -> str | None:
    """Return why a schema can't be enforced though the grammar library takes it, None where it can.

    A grammar can't tell whether a key that no schema names came before, so it can't count such keys.
    """
    for node in _nodes(schema):
        least, required = node.get("minProperties"), node.get("required", [])
        if isinstance(least, int) and isinstance(required, list) and least > len(required) + 1:
            known = len(required)
            return f"minProperties: {least} keys can't be counted where {known} are required"
    return None


def _nodes(schema: object) -> Iterator[Schema]:
    """Yield a schema and all schemas inside."""
    if isinstance(schema, list):
        for item in schema:
            yield from _nodes(item)
    elif isinstance(schema, Mapping):
        yield schema
        for key, value in schema.items():
            if key in _NAMED and isinstance(value, Mapping):
                yield from _nodes(list(value.values()))
            elif key not in _DATA:
                yield from _nodes(value)


def _kept_off(schema: Schema) -> dict[str, object]:
    """Return a schema whose numbers stay a little away from whole numbers they must not reach.

    llguidance 1.9 lets 0 through where more than 0 and at most 0.5 is asked for.
    """
    return {
        key: value if key in _DATA else _kept_off_in(key, value) for key, value in schema.items()
    } | _bounds(schema)


def _kept_off_in(key: str, value: object) -> object:
    match value:
        case Mapping() if key in _NAMED:
            return {name: _kept_off_in("", inner) for name, inner in value.items()}
        case Mapping():
            return _kept_off(value)
        case list():
            return [_kept_off_in("", inner) for inner in value]
    return value


def _bounds(schema: Schema) -> dict[str, object]:
    found: dict[str, object] = {}
    for exclusive, step in (("exclusiveMinimum", _CLOSE), ("exclusiveMaximum", -_CLOSE)):
        bound = schema.get(exclusive)
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            continue
        if schema.get("type") != "integer" and abs(bound) < 1 / _CLOSE and bound == int(bound):
            found[exclusive] = bound + step
    return found
