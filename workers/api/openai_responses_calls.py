"""Write a model's call as the item its client knows it by."""

from collections.abc import Callable, Iterator

import msgspec

from mlxd.protocol import openai_responses_events as events
from mlxd.protocol import openai_responses_output as wire
from mlxd.workers.api.openai_responses_tools import CUSTOM_INPUT, Callee, CallKind

CallItem = wire.FunctionCall | wire.CustomToolCall | wire.ToolSearchCall | wire.LocalShellCall

_PREFIXES = {
    CallKind.FUNCTION: "fc",
    CallKind.CUSTOM: "ctc",
    CallKind.TOOL_SEARCH: "tsc",
    CallKind.LOCAL_SHELL: "lsh",
}


def begun(callee: Callee, new_id: Callable[[str], str], call_id: str) -> CallItem:
    """Return the item before its arguments are known."""
    return _item(callee, new_id(_PREFIXES[callee.kind]), call_id, "", "in_progress")


def ended(callee: Callee, item_id: str, call_id: str, arguments: str) -> CallItem:
    """Return the whole item."""
    return _item(callee, item_id, call_id, arguments, "completed")


def call_events(item: wire.OutputItem, at: int, numbers: Iterator[int]) -> Iterator[events.Event]:
    """Yield what comes between the beginning and the end of a call's item."""
    match item:
        case wire.FunctionCall(id=item_id, name=name, arguments=text):
            yield events.ArgumentsDelta(
                sequence_number=next(numbers), output_index=at, item_id=item_id, delta=text
            )
            yield events.ArgumentsDone(
                sequence_number=next(numbers),
                output_index=at,
                item_id=item_id,
                name=name,
                arguments=text,
            )
        case wire.CustomToolCall(id=item_id, input=text):
            yield events.InputDelta(
                sequence_number=next(numbers), output_index=at, item_id=item_id, delta=text
            )
            yield events.InputDone(
                sequence_number=next(numbers), output_index=at, item_id=item_id, input=text
            )


def _item(callee: Callee, item_id: str, call_id: str, arguments: str, status: str) -> CallItem:
    namespace = callee.namespace if callee.namespace is not None else msgspec.UNSET
    match callee.kind:
        case CallKind.FUNCTION:
            return wire.FunctionCall(item_id, call_id, callee.name, arguments, status, namespace)
        case CallKind.CUSTOM:
            text = custom_input(arguments)
            return wire.CustomToolCall(item_id, call_id, callee.name, text, status, namespace)
        case CallKind.TOOL_SEARCH:
            return wire.ToolSearchCall(item_id, call_id, _object(arguments), status)
        case CallKind.LOCAL_SHELL:
            action = {"type": "exec", "command": [], "env": {}} | _object(arguments)
            return wire.LocalShellCall(item_id, call_id, action, status)


def custom_input(arguments: str) -> str:
    """Return the text a custom tool was called with, also where the model did not quite keep to its form."""
    given = _object(arguments)
    if isinstance(given.get(CUSTOM_INPUT), str):
        return str(given[CUSTOM_INPUT])
    texts = [value for value in given.values() if isinstance(value, str)]
    return texts[0] if len(texts) == len(given) == 1 else arguments


def _object(text: str) -> dict[str, object]:
    try:
        found = msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
