"""Keep a subset of what JSON schemas can say, after the official test suite: texts that are valid, and that are not."""

from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """Hold a schema with texts that validate and texts that don't."""

    about: str
    schema: Any
    valid: tuple[str, ...]
    invalid: tuple[str, ...]
    short: bool = True
    """Whatever is valid is short enough for a model that talks nonsense."""


def _object(properties: Schema, *required: str, **more: Any) -> Schema:
    closed = {"additionalProperties": False}
    return {"type": "object", "properties": properties, "required": list(required)} | closed | more


INT, STR, SHORT = {"type": "integer"}, {"type": "string"}, {"type": "string", "maxLength": 4}
CAT = _object({"kind": {"const": "cat"}, "lives": {"type": "integer", "maximum": 9}}, "kind")
DOG = _object({"kind": {"const": "dog"}, "name": SHORT}, "kind")

CASES = (
    Case("type integer", INT, ("0", "-12"), ("1.5", '"1"', "01", "null", "+1", "1e2")),
    Case("type number", {"type": "number"}, ("0", "-1.5", "2e3"), ('"1"', ".5", "1.", "NaN")),
    Case("type boolean", {"type": "boolean"}, ("true", "false"), ("1", '"true"', "True")),
    Case("type null", {"type": "null"}, ("null",), ("0", "None", '""')),
    Case("type string", STR, ('""', '"a b"', '"\\n\\""'), ("a", "'a'", '"a\nb"', '"'), short=False),
    Case("several types", {"type": ["integer", "null"]}, ("3", "null"), ("true", "1.5")),
    Case("const", {"const": {"a": [1, None]}}, ('{"a":[1,null]}',), ('{"a":[1]}', '{"a":1}')),
    Case("const with quotes", {"const": 'a"\\/\n'}, ('"a\\"\\\\/\\n"',), ('"a"',)),
    Case("enum", {"enum": [1, "one", None, [1]]}, ("1", '"one"', "null", "[1]"), ("2", "one")),
    Case("enum of one type", INT | {"enum": [1, "a"]}, ("1",), ('"a"',)),
    Case("minimum", INT | {"minimum": 3}, ("3", "12"), ("2", "-3")),
    Case("maximum", {"type": "number", "maximum": -1}, ("-1", "-1.25"), ("-0.5", "0", "1")),
    Case("exclusiveMinimum", INT | {"exclusiveMinimum": 3}, ("4",), ("3", "-4")),
    Case(
        "bounds that must not be reached, side by side",
        {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5},
        ("0.25", "0.5"),
        ("0", "0.0", "0.75", "-0"),
    ),
    Case(
        "exclusiveMaximum",
        {"type": "number", "minimum": -0.5, "exclusiveMaximum": 0},
        ("-0.5", "-0.25"),
        ("0", "-0", "-0.75"),
    ),
    Case("multipleOf", INT | {"multipleOf": 3, "minimum": 0, "maximum": 99}, ("0", "33"), ("34",)),
    Case("minLength", STR | {"minLength": 2, "maxLength": 3}, ('"ab"', '"é🙂b"'), ('"a"', '"🙂"')),
    Case("maxLength", STR | {"maxLength": 2}, ('""', '"🙂🙂"', '"\\n\\n"'), ('"abc"',)),
    Case("pattern", STR | {"pattern": "^[a-c]{2}$"}, ('"ab"',), ('"abc"', '"ad"', '""')),
    Case("pattern is not anchored", STR | {"pattern": "b", "maxLength": 3}, ('"abc"',), ('"ac"',)),
    Case("digits are ASCII", STR | {"pattern": r"^\d$"}, ('"7"',), ('"٣"', '"７"')),
    Case(
        "a class without quotes",
        STR | {"pattern": r'^[^"\\]{1,2}$'},
        ('"a"', '"é/"'),
        ('"\\""', '"\\\\"', '""'),
    ),
    Case("no white space", STR | {"pattern": r"^\S$"}, ('"a"', '"\\""'), ('" "', '"\ufeff"', '"""')),
    Case("date", STR | {"format": "date"}, ('"2024-02-29"',), ('"2023-02-29"', '"2024-13-01"')),
    Case(
        "time",
        STR | {"format": "time"},
        ('"23:59:59Z"', '"00:00:00.5+01:00"'),
        ('"24:00:00Z"', '"23:59:60Z"', '"12:00"'),
    ),
    Case(
        "date-time",
        STR | {"format": "date-time"},
        ('"1999-12-31T23:59:59Z"',),
        ('"1999-12-31 23:59:59Z"', '"1900-02-29T00:00:00Z"'),
    ),
    Case("email", STR | {"format": "email"}, ('"a@b.example"',), ('"a"', '"@b"'), short=False),
    Case("ipv4", STR | {"format": "ipv4"}, ('"127.0.0.1"',), ('"256.0.0.1"', '"1.2.3"')),
    Case(
        "uuid",
        STR | {"format": "uuid"},
        ('"2eb8aa08-aa98-11ea-b4aa-73b441d16380"',),
        ('"2eb8aa08"',),
    ),
    Case("items", {"type": "array", "items": INT, "maxItems": 3}, ("[]", "[1, 2]"), ('["a"]',)),
    Case(
        "minItems and maxItems",
        {"type": "array", "items": {"type": "null"}, "minItems": 1, "maxItems": 2},
        ("[null]", "[null,null]"),
        ("[]", "[null,null,null]"),
    ),
    Case(
        "prefixItems",
        {"type": "array", "prefixItems": [INT, SHORT], "items": False, "minItems": 2},
        ('[1,"a"]',),
        ('["a",1]', "[1]", '[1,"a",2]'),
    ),
    Case("properties", _object({"a": INT}), ("{}", '{"a":1}'), ('{"a":"b"}', '{"b":1}')),
    Case("required", _object({"a": INT, "b": SHORT}, "b"), ('{"b":""}',), ("{}", '{"a":1}')),
    Case(
        "additionalProperties",
        {"type": "object", "properties": {"a": INT}, "additionalProperties": SHORT},
        ('{"a":1,"b":"x"}', '{"b":"x"}'),
        ('{"b":1}', '{"a":1,"a":"x"}', '{"b":"x","\\u0061":"x"}'),
        short=False,
    ),
    Case(
        "patternProperties",
        {"type": "object", "patternProperties": {"^a": INT}, "additionalProperties": False},
        ("{}", '{"ab":1}'),
        ('{"b":1}', '{"ab":"x"}'),
        short=False,
    ),
    Case(
        "maxProperties",
        {"type": "object", "additionalProperties": INT, "maxProperties": 1},
        ("{}", '{"x":1}'),
        ('{"x":1,"y":2}',),
        short=False,
    ),
    Case(
        "a property with the name of a keyword",
        _object({"default": {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}}, "default"),
        ('{"default":0.5}',),
        ('{"default":0}',),
    ),
    Case("anyOf", {"anyOf": [INT, SHORT]}, ("1", '"a"'), ("1.5", "null")),
    Case("oneOf with a tag", {"oneOf": [CAT, DOG]}, ('{"kind":"cat","lives":9}',), ('{"kind":"cow"}',)),
    Case(
        "allOf",
        {"allOf": [INT | {"minimum": 2}, {"maximum": 4}]},
        ("2", "4"),
        ("1", "5", "2.5"),
    ),
    Case(
        "$ref",
        {"$defs": {"n": INT}, "type": "array", "items": {"$ref": "#/$defs/n"}, "maxItems": 2},
        ("[1]",),
        ('["a"]',),
    ),
    Case(
        "a schema inside itself",
        _object({"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "next"),
        ('{"next":null}', '{"next":{"next":null}}'),
        ('{"next":{}}', "{}"),
        short=False,
    ),
    Case("true", True, ("1", "{}", '[null,"a"]'), ("a", "{"), short=False),
    Case(
        "keywords that say nothing",
        INT | {"title": "T", "description": "D", "examples": [1], "x-other": {"a": 1}},
        ("1",),
        ('"a"',),
    ),
    Case(
        "white space",
        _object({"a": {"type": "array", "items": INT, "maxItems": 2}}, "a"),
        ('{"a":[1,2]}', '{\n  "a": [\n    1,\n    2\n  ]\n}', '{ "a" : [ ] }'),
        ('{"a":          [1]}', '{\n\n\n"a":[1]}'),
    ),
)  # fmt: skip

REFUSED: tuple[tuple[Any, str], ...] = (
    (False, "false"),
    ({"not": STR}, "not"),
    ({"type": "array", "uniqueItems": True}, "uniqueItems"),
    ({"if": INT, "then": {"minimum": 1}}, "if"),
    ({"type": "array", "contains": INT}, "contains"),
    ({"type": "object", "propertyNames": SHORT}, "propertyNames"),
    ({"type": "object", "dependentRequired": {"a": ["b"]}}, "dependentRequired"),
    ({"type": "object", "unevaluatedProperties": False}, "unevaluatedProperties"),
    ({"type": "object", "minProperties": 2}, "minProperties"),
    ({"$ref": "https://example.test/schema"}, "https://example.test/schema"),
    (STR | {"format": "colour"}, "colour"),
    (STR | {"pattern": "(?=a)"}, "look-around"),
    (STR | {"pattern": "["}, "["),
    ({"type": "text"}, "text"),
    ({"enum": []}, "empty"),
    ({"const": "a\x01"}, "control characters"),
    (STR | {"pattern": r"^[\x00-\x1f]$"}, "NUL"),
    ({"oneOf": [INT, {"minimum": 2}]}, "oneOf"),
    (_object({"a": INT}, "b"), "b"),
)
"""Schemas that can't be enforced, with a word that the refusal must hold."""
