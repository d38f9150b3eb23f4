"""Translate what Chat Completions and Completions want an answer to look like."""

import msgspec

from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.protocol.openai_output import OutputFields, ResponseFormat, StructuredOutputs
from mlxd.workers.chat.output_format import (
    Choice,
    JsonObject,
    JsonSchema,
    Lark,
    OutputFormat,
    Regex,
)

_FORMAT = "response_format"
_OUTPUTS = "structured_outputs"
_NOT_HERE = (
    "disable_additional_properties", "disable_any_whitespace", "structural_tag", "whitespace_pattern",
)  # fmt: skip


def output(fields: OutputFields) -> OutputFormat | None:
    """Return what the text must look like, None for any text; raises CallerError naming the field at fault."""
    by_format = None if fields.response_format is None else _by_format(fields.response_format)
    if fields.structured_outputs is None:
        return by_format
    if by_format is not None:
        raise InvalidRequest(f"{_OUTPUTS}: expected either it or {_FORMAT}", field=_OUTPUTS)
    return _by_outputs(fields.structured_outputs)


def _by_format(wanted: ResponseFormat) -> OutputFormat | None:
    match wanted.type:
        case "text":
            return None
        case "json_object" if wanted.schema is None:
            return JsonObject(field=_FORMAT)
        case "json_object" | "json_schema":
            return _schema(wanted)
        case "grammar":
            if wanted.grammar is None:
                raise _missing(f"{_FORMAT}.grammar")
            return Lark(grammar=wanted.grammar, field=f"{_FORMAT}.grammar")
    expected = "text, json_object, json_schema or grammar"
    raise InvalidRequest(
        f"{_FORMAT}.type: expected {expected}, got {wanted.type[:32]!r}", field=f"{_FORMAT}.type"
    )


def _schema(wanted: ResponseFormat) -> JsonSchema:
    inner = wanted.json_schema
    if inner is None and wanted.schema is not None:
        return JsonSchema(schema=wanted.schema, field=f"{_FORMAT}.schema")
    if inner is None:
        raise _missing(f"{_FORMAT}.json_schema")
    field = f"{_FORMAT}.json_schema.schema"
    if inner.schema is None:
        raise _missing(field)
    return JsonSchema(schema=inner.schema, field=field)


def _by_outputs(wanted: StructuredOutputs) -> OutputFormat:
    for name in _NOT_HERE:
        if getattr(wanted, name):
            raise UnsupportedField(f"{_OUTPUTS}.{name}")
    found: list[OutputFormat] = []
    if wanted.json is not None:
        found.append(_outputs_json(wanted.json))
    if wanted.json_object:
        found.append(JsonObject(field=f"{_OUTPUTS}.json_object"))
    if wanted.regex is not None:
        found.append(Regex(pattern=wanted.regex, field=f"{_OUTPUTS}.regex"))
    if wanted.choice is not None:
        found.append(Choice(options=tuple(wanted.choice), field=f"{_OUTPUTS}.choice"))
    if wanted.grammar is not None:
        found.append(Lark(grammar=wanted.grammar, field=f"{_OUTPUTS}.grammar"))
    if len(found) != 1:
        expected = "one of json, json_object, regex, choice and grammar"
        raise InvalidRequest(f"{_OUTPUTS}: expected {expected}, got {len(found)}", field=_OUTPUTS)
    return found[0]


def _outputs_json(given: dict[str, object] | bool | str) -> JsonSchema:
    """Read a schema that may come as a string of JSON."""
    field = f"{_OUTPUTS}.json"
    if isinstance(given, str):
        try:
            given = msgspec.json.decode(given, type=dict[str, object] | bool)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise InvalidRequest(f"{field}: expected a JSON schema: {error}", field=field) from None
    return JsonSchema(schema=given, field=field)


def _missing(field: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: required and missing", field=field)
