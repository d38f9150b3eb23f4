"""Prepare JSON schemas for the grammar: how much white space, which objects, what can't be counted."""

from collections.abc import Mapping
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

PLAIN_OBJECT: Final = frozenset(
    {"$defs", "$schema", "additionalProperties", "definitions", "properties", "required"}
)
"""Keywords of an object that is nothing but named properties."""

ANY_OBJECT: Final[Schema] = {"type": "object"}


def grammar(schema: Schema | bool, options: Mapping[str, object]) -> dict[str, object]:
    """Return the grammar of a schema; whatever options it carries itself are overruled."""
    if schema is False:
        return {"json_schema": False}
    whole = dict(schema) if isinstance(schema, Mapping) else {}
    return {"json_schema": whole | {"x-guidance": dict(options)}}


def of_object(schema: Schema | None) -> Schema:
    """Return a schema for arguments, which are an object even where it doesn't say so."""
    return {"type": "object", **(schema or {})}


def uncountable(schema: object) -> str | None:
    """Return why a schema can't be enforced though the grammar library takes it, None where it can.

    A grammar can't tell whether a key that no schema names came before, so it can't count such keys.
    """
    if isinstance(schema, list):
        return next((reason for item in schema if (reason := uncountable(item))), None)
    if not isinstance(schema, Mapping):
        return None
    least, required = schema.get("minProperties"), schema.get("required", [])
    if isinstance(least, int) and isinstance(required, list) and least > len(required) + 1:
        return f"minProperties: {least} keys can't be counted where {len(required)} are required"
    inner = (value for key, value in schema.items() if key not in _DATA)
    return next((reason for item in inner if (reason := uncountable(item))), None)
