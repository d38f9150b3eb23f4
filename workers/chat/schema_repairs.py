r"""Say in a schema what llguidance 1.9 gets wrong or does not know, so that what it lets through validates.

- More than 0 and at most 0.5: it lets 0 through. Bounds that must not be reached are moved by a millionth.
- A class of characters that holds NUL, as every `[^...]` does: it lets `"` and `\` through. NUL is taken out.
- `\S`: it lets U+FEFF through, which is white space to ECMAScript.
- Dates: it knows no leap years, and that there may be leap seconds. Both are said as patterns.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

Schema = Mapping[str, object]

_DATA: Final = frozenset({"const", "default", "enum", "example", "examples"})
"""Keywords that hold JSON, not schemas."""
_NAMED: Final = frozenset(
    {"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"}
)
"""Keywords that hold schemas by names of the caller's choice."""
_CLOSE: Final = 1e-6
"""How near to a bound that it must not reach a number may come."""

_YEAR = r"([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_LEAP = r"([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"
_LONG, _SHORT = r"(01|03|05|07|08|10|12)", r"(04|06|09|11)"
_DAYS = (
    rf"{_LONG}-(0[1-9]|[12][0-9]|3[01])|{_SHORT}-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8])"
)
_DATE = rf"({_YEAR}-({_DAYS})|{_LEAP}-02-29)"
_HOUR = r"([01][0-9]|2[0-3])"
_TIME = rf"{_HOUR}:[0-5][0-9]:[0-5][0-9](\.[0-9]{{1,6}})?(Z|[+-]{_HOUR}:[0-5][0-9])"
_FORMATS: Final = {"date": f"^{_DATE}$", "time": f"^{_TIME}$", "date-time": f"^{_DATE}T{_TIME}$"}

_CLASSES: Final = re.compile(r"\\.|\[\^?|\]", re.DOTALL)
_NUL: Final = re.compile(r"\\(0|x00|u0000|u\{0+\})")
_UNWRITABLE: Final = re.compile(r"[\x00-\x07\x0b\x0e-\x1f\x7f]")
"""Characters that JSON can write by number alone; keys written that way would escape their schemas."""


def unenforceable(schema: object) -> str | None:
    """Return why a schema can't be enforced though llguidance takes it, None where it can."""
    if any(_UNWRITABLE.search(text) for text in _texts(schema)):
        return "control characters"
    for node in _nodes(schema):
        # A grammar can't tell whether a key that no schema names came before, so it can't count such keys.
        least, required = node.get("minProperties"), node.get("required", [])
        if isinstance(least, int) and isinstance(required, list) and least > len(required) + 1:
            known = len(required)
            return f"minProperties: {least} keys can't be counted where {known} are required"
        for pattern in _patterns(node):
            if _NUL.search(pattern):
                return "NUL in a pattern"
    return None


def repaired(schema: Schema) -> dict[str, object]:
    """Return a schema that allows a little less, all of it valid."""
    whole = {key: value if key in _DATA else _inside(key, value) for key, value in schema.items()}
    whole |= _bounds(schema)
    pattern = schema.get("pattern")
    if isinstance(pattern, str):
        whole["pattern"] = _as_meant(pattern)
    known = schema.get("format")
    if isinstance(known, str) and known in _FORMATS:
        del whole["format"]
        said = {"pattern": _FORMATS[known]}
        several = whole.get("allOf", [])
        whole["allOf"] = [*several, said] if isinstance(several, list) else several
    return whole


def _inside(key: str, value: object) -> object:
    match value:
        case Mapping() if key in _NAMED:
            names = (_as_meant(name) if key == "patternProperties" else name for name in value)
            return dict(zip(names, (_inside("", inner) for inner in value.values()), strict=True))
        case Mapping():
            return repaired(value)
        case list():
            return [_inside("", inner) for inner in value]
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


def _as_meant(pattern: str) -> str:
    r"""Return a pattern whose negated classes leave out NUL too, and whose `\S` the mark of byte order."""
    inside = False

    def written(found: re.Match[str]) -> str:
        nonlocal inside
        text = found[0]
        if text == "]":
            inside = False
        elif text.startswith("[") and not inside:
            inside = True
            return text + r"\x00" if text == "[^" else text
        elif text == r"\S" and not inside:
            return r"[^\x00\s\x{FEFF}]"
        return text

    return _CLASSES.sub(written, pattern)


def _patterns(node: Schema) -> Iterator[str]:
    pattern, by_pattern = node.get("pattern"), node.get("patternProperties")
    if isinstance(pattern, str):
        yield pattern
    if isinstance(by_pattern, Mapping):
        yield from by_pattern


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


def _texts(value: object) -> Iterator[str]:
    """Yield every string in a value, but for what is there to be read by people."""
    match value:
        case str():
            yield value
        case list():
            for inner in value:
                yield from _texts(inner)
        case Mapping():
            for key, inner in value.items():
                yield key
                if key not in ("$comment", "default", "description", "examples", "title"):
                    yield from _texts(inner)
