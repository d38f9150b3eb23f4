"""Give the items of a Responses input the form they are kept in: whole, and with ids by which they can be named."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mlxd.protocol import openai_responses as wire
from mlxd.protocol.errors import InvalidRequest

_PREFIXES = {
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "function_call": "fc",
    "function_call_output": "fco",
    "message": "msg",
    "reasoning": "rs",
}


@dataclass(frozen=True, slots=True)
class Item:
    """Hold an item as JSON, with its id."""

    id: str
    body: bytes


def new_id(prefix: str) -> str:
    """Return an id that nobody guesses."""
    return f"{prefix}_{secrets.token_hex(24)}"


def own_items(value: msgspec.Raw) -> list[bytes]:
    """Return the items of an input as they came; raises InvalidRequest where it is no input."""
    given = wire.items(value)
    if isinstance(given, str):
        return [msgspec.json.encode({"role": "user", "content": given})]
    return [bytes(item) for item in given]


def kept(bodies: Sequence[bytes], field: str = "input") -> list[Item]:
    """Return items as they are kept; raises InvalidRequest for what is none."""
    found = []
    for index, body in enumerate(bodies):
        try:
            whole = _whole(msgspec.json.decode(body, type=dict[str, Any]))
        except (msgspec.MsgspecError, RecursionError):
            path = f"{field}[{index}]"
            raise InvalidRequest(f"{path}: expected an item", field=path) from None
        found.append(Item(whole["id"], msgspec.json.encode(whole)))
    return found


def _whole(item: Mapping[str, Any]) -> dict[str, Any]:
    named_type = item.get("type")
    kind = named_type if isinstance(named_type, str) and named_type else "message"
    given = item.get("id")
    named = given if isinstance(given, str) and given else new_id(_PREFIXES.get(kind, "item"))
    whole = {"id": named, "type": kind, **item, "status": item.get("status") or "completed"}
    whole |= {"id": named, "type": kind}
    if kind == "message":
        whole["content"] = _parts(item.get("content"), item.get("role"))
    return whole


def _parts(content: object, role: object) -> object:
    if content is not None and not isinstance(content, str):
        return content
    if role == "assistant":
        return [{"type": "output_text", "text": content or "", "annotations": []}]
    return [{"type": "input_text", "text": content or ""}]
