"""Read tool calls with the parser that mlx-lm chooses from the chat template."""

import json
import logging
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mlxd.workers.chat.request import Tool

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ParsedCall:
    """Hold a call as the model wrote it; `arguments` is a string of JSON."""

    name: str
    arguments: str
    id: str | None = None


def call_parser(
    tokenizer: Any, tools: Sequence[Tool]
) -> Callable[[str], tuple[ParsedCall, ...] | None] | None:
    """Return what reads the text between a call's markers, None where nothing is to be called."""
    parser = tokenizer.tool_parser if tools and tokenizer.has_tool_calling else None
    if parser is None:
        return None
    described = [tool.for_template() for tool in tools]

    def parse(text: str) -> tuple[ParsedCall, ...] | None:
        try:
            return read_calls(parser(text, described))
        except (
            Exception
        ) as error:  # parsers of many authors: a malformed call is the model's text, not a failure
            _log.info("malformed tool call: %s: %s", type(error).__name__, error)
            return None

    return parse


def read_calls(parsed: object) -> tuple[ParsedCall, ...] | None:
    """Return the calls in a parser's answer, None where any of them is malformed."""
    entries = parsed if isinstance(parsed, list) else [parsed]
    calls = tuple(call for entry in entries if (call := _read_call(entry)) is not None)
    return calls if entries and len(calls) == len(entries) else None


def _read_call(entry: object) -> ParsedCall | None:
    if not isinstance(entry, Mapping):
        return None
    name, arguments, given = entry.get("name"), entry.get("arguments", {}), entry.get("id")
    if not isinstance(name, str) or not name:
        return None
    text = arguments_text(arguments)
    if text is None:
        return None
    name.encode()  # half a surrogate pair, which JSON can write and no client can be sent
    return ParsedCall(name, text, _id(given))


def _id(given: object) -> str | None:
    return given if isinstance(given, str) and given else None


def arguments_text(arguments: object) -> str | None:
    """Return arguments as a string of JSON, None unless they are an object; raises ValueError for what JSON has not."""
    if isinstance(arguments, str):
        arguments = msgspec.json.decode(arguments)
    if not isinstance(arguments, Mapping):
        return None
    text = json_text(_finite(arguments))
    text.encode()
    return text


def _finite(value: object) -> object:
    """Return a value with the largest number in the place of what JSON can write and no float can hold: 1e999."""
    match value:
        case float() if math.isinf(value):
            return math.copysign(sys.float_info.max, value)
        case Mapping():
            return {key: _finite(inner) for key, inner in value.items()}
        case list():
            return [_finite(inner) for inner in value]
    return value


def json_text(value: object) -> str:
    """Write JSON the way chat templates do, so that an answer sent back renders to the tokens it came from."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
