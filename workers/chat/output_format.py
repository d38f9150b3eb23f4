"""Say what the text of an answer must look like, whatever dialect asked for it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonObject:
    """Ask for any JSON object."""

    field: str = "response_format"
    """Name of the request field that asked; a refusal names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonSchema:
    """Ask for JSON that validates; there is no best effort: a schema that can't be enforced is refused."""

    schema: Mapping[str, object] | bool
    field: str = "response_format"


@dataclass(frozen=True, slots=True, kw_only=True)
class Regex:
    """Ask for text that matches a regular expression from end to end."""

    pattern: str
    field: str = "response_format"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lark:
    """Ask for text that a context-free grammar in Lark's notation derives from `start`."""

    grammar: str
    field: str = "response_format"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Ask for one of a few texts."""

    options: tuple[str, ...]
    field: str = "response_format"


OutputFormat = JsonObject | JsonSchema | Regex | Lark | Choice
