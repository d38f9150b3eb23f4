"""Make random JSON schemas of the kind that can be enforced."""

from typing import Any

from hypothesis import strategies as st

Schema = dict[str, Any]

_WORDS = st.text('abcxyz éß√🙂"\\/\n', min_size=1, max_size=5)
_NAMES = st.text('abcdé -$"\\', min_size=1, max_size=4)
_SCALARS = st.none() | st.booleans() | st.integers(-999, 999) | _WORDS
_FORMATS = ("date", "time", "date-time", "email", "hostname", "ipv4", "ipv6", "uuid", "duration")
_PATTERNS = (
    r"^[a-c]{1,4}$", r"^\d{2,3}$", r"^\w+$", r"^(x|yz)*$", r"^[^a]b?$", "^a.c$", r"\d", "é|ß", r"^\s?[A-Z]$",
)  # fmt: skip


def _integers() -> st.SearchStrategy[Schema]:
    return st.builds(
        lambda low, span, step: {
            "type": "integer",
            "minimum": low,
            "maximum": low + span + (step or 1),
            **({"multipleOf": step} if step else {}),
        },
        st.integers(-2000, 2000),
        st.integers(0, 5000),
        st.none() | st.integers(1, 7),
    ) | st.builds(lambda low: {"type": "integer", "exclusiveMinimum": low}, st.integers(-50, 50))


def _numbers() -> st.SearchStrategy[Schema]:
    low = st.integers(-40, 40).map(lambda n: n / 4)
    return st.one_of(
        st.just({"type": "number"}),
        st.builds(
            lambda at, span: {"type": "number", "minimum": at, "exclusiveMaximum": at + span / 2},
            low,
            st.integers(1, 9),
        ),
    )


def _strings() -> st.SearchStrategy[Schema]:
    lengths = st.builds(
        lambda low, span: {"type": "string", "minLength": low, "maxLength": low + span},
        st.integers(0, 4),
        st.integers(0, 6),
    )
    patterns = st.sampled_from(_PATTERNS).map(
        lambda pattern: {"type": "string", "pattern": pattern, "maxLength": 12}
    )
    formats = st.sampled_from(_FORMATS).map(lambda name: {"type": "string", "format": name})
    return st.one_of(lengths, patterns, formats)


def _fixed() -> st.SearchStrategy[Schema]:
    several = st.lists(_SCALARS, min_size=1, max_size=3).map(lambda items: {"enum": items})
    return several | _SCALARS.map(lambda item: {"const": item})


def _arrays(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    lists = st.builds(
        lambda items, low, span: {
            "type": "array", "items": items, "minItems": low, "maxItems": low + span,
        },
        inner,
        st.integers(0, 2),
        st.integers(0, 2),
    )  # fmt: skip
    tuples = st.lists(inner, min_size=1, max_size=2).map(
        lambda items: {
            "type": "array", "prefixItems": items, "items": False, "minItems": len(items),
        }
    )  # fmt: skip
    return lists | tuples


def _objects(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    def closed(properties: dict[str, Schema], chosen: list[bool]) -> Schema:
        required = [
            name for name, wanted in zip(properties, [*chosen, *[True] * 9], strict=False) if wanted
        ]
        return {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }

    def mapping(inner: Schema, most: int) -> Schema:
        return {
            "type": "object",
            "patternProperties": {"^[ab]{1,3}$": inner},
            "additionalProperties": False,
            "maxProperties": most,
        }

    named = st.dictionaries(_NAMES, inner, max_size=3)
    return st.builds(closed, named, st.lists(st.booleans(), max_size=3)) | st.builds(
        mapping, inner, st.integers(0, 3)
    )


def _unions(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    nullable = inner.map(lambda schema: {"anyOf": [schema, {"type": "null"}]})
    tagged = st.lists(inner, min_size=2, max_size=3).map(
        lambda schemas: {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {"kind": {"const": f"k{at}"}, "value": schema},
                    "required": ["kind", "value"],
                    "additionalProperties": False,
                }
                for at, schema in enumerate(schemas)
            ]
        }
    )
    return nullable | tagged


def _recursive(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    def nested(leaf: Schema, most: int) -> Schema:
        node = {
            "type": "object",
            "properties": {
                "leaf": leaf,
                "next": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": most},
            },
            "required": ["leaf"],
            "additionalProperties": False,
        }
        return {"$defs": {"node": node}, "$ref": "#/$defs/node"}

    return st.builds(nested, inner, st.integers(1, 2))


_leaves = st.one_of(
    _integers(), _numbers(), _strings(), _fixed(), st.just({"type": "boolean"}), st.just({"type": "null"})
)  # fmt: skip


def schemas() -> st.SearchStrategy[Schema]:
    """Return a strategy for schemas whose values are short, whatever writes them."""
    nested = st.recursive(
        _leaves,
        lambda inner: st.one_of(_arrays(inner), _objects(inner), _unions(inner)),
        max_leaves=6,
    )
    return st.one_of(nested, _recursive(_leaves))
