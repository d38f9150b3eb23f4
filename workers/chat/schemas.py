"""Turn JSON schemas into grammars: how much white space, which escapes, what an object is."""

from collections.abc import Mapping
from typing import Final

from mlxd.workers.chat.schema_repairs import Schema, repaired

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
PLAIN_OBJECT: Final = frozenset(
    {"$defs", "$schema", "additionalProperties", "definitions", "properties", "required"}
)
"""Keywords of an object that is nothing but named properties."""

ANY_OBJECT: Final[Schema] = {"type": "object"}


def grammar(schema: Schema | bool, options: Mapping[str, object]) -> dict[str, object]:
    """Return the grammar of a schema; whatever options it carries itself are overruled."""
    if schema is False:
        return {"json_schema": False}
    whole = repaired(schema) if isinstance(schema, Mapping) else {}
    return {"json_schema": {**whole, "x-guidance": dict(options)}}


def of_object(schema: Schema | None) -> Schema:
    """Return a schema for arguments, which are an object even where it doesn't say so."""
    return {"type": "object", **(schema or {})}
