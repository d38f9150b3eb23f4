"""Write, as grammar, arguments that a format spells out one by one instead of as one JSON object."""

import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mlxd.protocol.errors import UnsupportedField
from mlxd.workers.chat import schemas
from mlxd.workers.chat.lark import TEXT, Draft, either, literal
from mlxd.workers.chat.request import Tool
from mlxd.workers.chat.schema_repairs import unenforceable

_ANNOTATIONS: Final = frozenset(
    {
        "$comment", "default", "deprecated", "description", "example", "examples", "readOnly", "title", "type",
        "writeOnly",
    }
)  # fmt: skip
_JSON_TYPES: Final = frozenset({"array", "boolean", "integer", "null", "number", "object"})
_DEFINITIONS: Final = ("$defs", "definitions")
PLAIN_NAME: Final = re.compile(r"[\w.-]+")
"""Names of tools that every parser reads back."""
_KEY: Final = "/[A-Za-z_][A-Za-z0-9_]*/"


def inexpressible(tool: Tool, what: str) -> UnsupportedField:
    """Return the refusal of a tool that the model's format has no words for."""
    return UnsupportedField(tool.field, f"the model's format of calls can't express {what}")


@dataclass(frozen=True, slots=True)
class Property:
    """Hold one argument as the schema describes it."""

    name: str
    schema: Mapping[str, object]
    required: bool


def properties(tool: Tool) -> list[Property]:
    """Return a tool's arguments; raises UnsupportedField where only a validator could tell what they are."""
    schema = tool.parameters or {}
    known = schemas.PLAIN_OBJECT | _ANNOTATIONS
    odd = sorted(set(schema) - known)
    found, required = schema.get("properties", {}), schema.get("required", [])
    if odd and tool.strict:
        raise inexpressible(tool, repr(odd[0]))
    if not isinstance(found, Mapping) or not isinstance(required, Sequence):
        raise inexpressible(tool, "properties that are no object, or a required that is no list")
    definitions = {key: schema[key] for key in _DEFINITIONS if key in schema}
    unnamed = sorted(set(map(str, required)) - set(found))
    if unnamed:
        raise inexpressible(tool, f"the required argument {unnamed[0]!r}, which has no schema")
    return [
        Property(
            name, {**definitions, **(inner if isinstance(inner, Mapping) else {})}, name in required
        )
        for name, inner in found.items()
    ]


def json_value(draft: Draft, tool: Tool, item: Property) -> str:
    """Return an expression for an argument's value as JSON."""
    anything = schemas.grammar(True, schemas.AS_TEMPLATES_DO)
    reason = unenforceable(item.schema)
    if reason is None:
        wanted = schemas.grammar(item.schema, schemas.AS_TEMPLATES_DO)
        return draft.part(wanted, tool.field, None if tool.strict else anything)
    if tool.strict:
        raise UnsupportedField(tool.field, f"can't be enforced: {reason}")
    return draft.part(anything, tool.field)


def keyword_arguments(draft: Draft, tool: Tool) -> str:
    """Return an expression for arguments of a Python call: `a=1, b="x"`."""
    items = properties(tool)
    for item in items:
        if not item.name.isidentifier() or keyword.iskeyword(item.name):
            raise inexpressible(tool, f"the argument {item.name!r}, which is no name in Python")
    written = [f"{literal(item.name + '=')} {json_value(draft, tool, item)}" for item in items]
    return _listed(draft, items, written)


def _listed(draft: Draft, items: Sequence[Property], written: Sequence[str]) -> str:
    """Return an expression for the items in order with commas between; optional ones may be missing."""
    rest, first = '""', '""'
    for item, expression in zip(reversed(items), reversed(written), strict=True):
        here = draft.rule(expression)
        later, sooner = f'", " {here} {rest}', f"{here} {rest}"
        if item.required:
            rest, first = draft.rule(later), draft.rule(sooner)
        else:
            rest, first = draft.rule(f"{later} | {rest}"), draft.rule(f"{sooner} | {first}")
    return first


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """Say how a format marks one argument; `{}` stands for its name."""

    opening: str
    closing: str
    after: str = ""
    """Lark expression for what may stand between arguments."""

    def arguments(self, draft: Draft, tool: Tool) -> str:
        """Return an expression for all arguments of a tool."""
        items = properties(tool)
        if not items and not tool.strict and "properties" not in (tool.parameters or {}):
            return f"( {self._any(draft)} )*"
        return " ".join(self._one(draft, tool, item) for item in items)

    def _one(self, draft: Draft, tool: Tool, item: Property) -> str:
        value = self._value(draft, tool, item)
        whole = f"{draft.marker(self.opening.format(item.name))} {value} {self.after}".rstrip()
        return whole if item.required else f"( {whole} )?"

    def _any(self, draft: Draft) -> str:
        before, behind = self.opening.split("{}")
        opening = " ".join(filter(None, [draft.marker(before), _KEY, draft.marker(behind)]))
        return f"{opening} {self._text(draft)} {self.after}".rstrip()

    def _value(self, draft: Draft, tool: Tool, item: Property) -> str:
        """Return an expression for a value and its closing tag."""
        kind, options = item.schema.get("type"), item.schema.get("enum")
        asserted = set(item.schema) - _ANNOTATIONS - set(_DEFINITIONS)
        if kind == "string" and asserted <= {"enum"}:
            if not isinstance(options, list):
                return self._text(draft)
            texts = [option for option in options if _is_plain(option, self.closing.strip())]
            if texts:
                return f"{either(*map(literal, texts))} {draft.marker(self.closing)}"
        if kind in _JSON_TYPES:
            return f"{json_value(draft, tool, item)} {draft.marker(self.closing)}"
        if tool.strict:
            raise inexpressible(tool, f"what the argument {item.name!r} may be")
        return self._text(draft)

    def _text(self, draft: Draft) -> str:
        """Return an expression for any text up to the closing tag; `null` would be read as no text at all."""
        tag = self.closing.strip()
        if draft.is_special(tag):
            value = draft.terminal(f"{TEXT} & ~/[ \\n]*(?i:null)[ \\n]*/")
            return f"{value} {draft.marker(tag)}"
        end = re.escape(tag).replace("/", "\\/")
        value = draft.terminal(f"{TEXT} & ~/(?s:.*){end}(?s:.*)/ & ~/[ \\n]*(?i:null)[ \\n]*/")
        return draft.terminal(f"{value} {literal(self.closing)}")


def _is_plain(option: object, tag: str) -> bool:
    """Say whether a text is read back as it was written."""
    if not isinstance(option, str) or option != option.strip() or not option:
        return False
    return tag not in option and option.lower() != "null"
