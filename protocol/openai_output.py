"""Describe on the wire what the text of an answer must look like."""

import msgspec

from mlxd.protocol.openai_fields import SamplingFields


class JsonSchemaFormat(msgspec.Struct, frozen=True):
    """Hold a schema; `strict` changes nothing, as every schema is enforced."""

    name: str | None = None
    schema: dict[str, object] | bool | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, frozen=True):
    """Hold OpenAI's `response_format`; what `type` asks for is checked where it is used."""

    type: str
    json_schema: JsonSchemaFormat | None = None
    schema: dict[str, object] | bool | None = None
    """Where llama.cpp and others put the schema."""
    grammar: str | None = None


class StructuredOutputs(msgspec.Struct, frozen=True):
    """Hold vLLM's `structured_outputs`; one of the fields says what is wanted."""

    json: dict[str, object] | bool | str | None = None
    json_object: bool | None = None
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None
    structural_tag: object = None
    disable_any_whitespace: bool | None = None
    disable_additional_properties: bool | None = None
    whitespace_pattern: str | None = None


class OutputFields(SamplingFields, frozen=True, kw_only=True):
    """Hold the fields that say what an answer must look like."""

    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
