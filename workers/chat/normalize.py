"""Put a conversation in the terms of one chat template, without ever changing what earlier turns render to.

System turns at the head become one. A later one stays where it is; where the template refuses that, its text goes
into the user turn next to it, never to the head: the prompt's beginning is what the prompt cache lives on.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from mlxd.workers.chat.content import MediaPart
from mlxd.workers.chat.request import PastCall, Role, Turn
from mlxd.workers.chat.traits import Message, TemplateTraits

_BETWEEN = "\n\n"


def messages_for(
    turns: Sequence[Turn],
    traits: TemplateTraits,
    content: Callable[[Turn], object] = lambda turn: turn.text,
) -> list[Message]:
    """Return the messages the template takes; `content` says how it takes what is in one."""
    head, rest = _merge_head(turns)
    if not traits.system_later:
        rest = [_as_user(turn) if turn.role is Role.SYSTEM else turn for turn in rest]
    if head is not None:
        nobody = not traits.system_alone and all(turn.role is not Role.USER for turn in rest)
        rest.insert(0, head if traits.system_first and not nobody else _as_user(head))
    if not traits.repeated_users:
        rest = _merge_users(rest)
    names = {call.id: call.name for turn in rest for call in turn.calls if call.id}
    return [_message(turn, traits, names) | {"content": content(turn)} for turn in rest]


def _merge_head(turns: Sequence[Turn]) -> tuple[Turn | None, list[Turn]]:
    count = 0
    while count < len(turns) and turns[count].role is Role.SYSTEM:
        count += 1
    texts = [turn.text for turn in turns[:count] if turn.text]
    head = Turn(role=Role.SYSTEM, text=_BETWEEN.join(texts)) if count else None
    return head, list(turns[count:])


def _as_user(turn: Turn) -> Turn:
    return replace(turn, role=Role.USER, name=None)


def _merge_users(turns: Sequence[Turn]) -> list[Turn]:
    """Make one turn of user turns that follow each other."""
    runs: list[list[Turn]] = []
    for turn in turns:
        if runs and runs[-1][-1].role is turn.role is Role.USER:
            runs[-1].append(turn)
        else:
            runs.append([turn])
    return [run[0] if len(run) == 1 else _joined(run) for run in runs]


def _joined(run: Sequence[Turn]) -> Turn:
    """Return one turn that says what several say; it takes no longer than they are long."""
    images: list[MediaPart] = []
    before = 0
    for turn in run:
        images += (replace(image, at=image.at + before) for image in turn.images)
        before += len(turn.text) + len(_BETWEEN)
    return replace(run[0], text=_BETWEEN.join(turn.text for turn in run), images=tuple(images))


def _message(turn: Turn, traits: TemplateTraits, names: dict[str, str]) -> Message:
    message: Message = {"role": turn.role.value, "content": ""}
    name = turn.name or (names.get(turn.call_id) if turn.call_id else None)
    if name:
        message["name"] = name
    if turn.reasoning:
        message["reasoning_content"] = turn.reasoning
    if turn.call_id:
        message["tool_call_id"] = turn.call_id
    if turn.calls:
        message["tool_calls"] = [_call(call, traits) for call in turn.calls]
    return message


def _call(call: PastCall, traits: TemplateTraits) -> Message:
    arguments: object = call.arguments
    if traits.arguments_as_object:
        arguments = _object(call.arguments)
    function = {"name": call.name, "arguments": arguments}
    return {"id": call.id or "", "type": "function", "function": function}


def _object(text: str) -> object:
    """Return the object a string of JSON holds; anything else stays as it was written."""
    try:
        value = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict) else text
