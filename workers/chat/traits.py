"""Find out by trial what a chat template takes, so that any order of messages can be put in its terms."""

from collections.abc import Callable
from dataclasses import dataclass

Message = dict[str, object]
Render = Callable[[list[Message]], str]
"""Render messages with a generation prompt; raises whatever the template raises."""

_SYSTEM, _USER, _ARGUMENT = "probe-system", "probe-user", "probe-argument"


@dataclass(frozen=True, slots=True)
class TemplateTraits:
    """Say what a template takes; the defaults are those of a lenient ChatML template."""

    system_first: bool = True
    """A conversation may begin with a system turn."""
    system_later: bool = True
    """A system turn may follow other turns."""
    system_alone: bool = True
    """A conversation may do without a user turn."""
    repeated_users: bool = True
    """Two user turns may follow each other."""
    arguments_as_object: bool = True
    """Arguments of past calls are objects, not strings of JSON."""


def probe(render: Render) -> TemplateTraits:
    """Return what the template behind `render` takes."""
    system, user = _message("system", _SYSTEM), _message("user", _USER)
    answer = _message("assistant", "probe-answer")
    return TemplateTraits(
        system_first=_shows(render, [system, user], _SYSTEM, _USER),
        system_later=_shows(render, [user, answer, system, user], _SYSTEM, _USER),
        system_alone=_shows(render, [system], _SYSTEM),
        repeated_users=_shows(render, [user, _message("user", "probe-again")], "probe-again"),
        arguments_as_object=_takes_objects(render),
    )


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _attempt(render: Render, messages: list[Message]) -> str:
    try:
        return render(messages)
    except (
        Exception
    ):  # templates raise whatever their authors wrote; all of it means "not like this"
        return ""


def _shows(render: Render, messages: list[Message], *wanted: str) -> bool:
    text = _attempt(render, messages)
    return all(word in text for word in wanted)


def _takes_objects(render: Render) -> bool:
    def attempt(arguments: object) -> str:
        function = {"name": "probe", "arguments": arguments}
        call = {"id": "probe00001", "type": "function", "function": function}
        answer = _message("assistant", "") | {"tool_calls": [call]}
        return _attempt(render, [_message("user", _USER), answer])

    written = attempt({_ARGUMENT: "value"})
    if _ARGUMENT in written and f"'{_ARGUMENT}'" not in written:
        return True
    return _ARGUMENT not in attempt(f'{{"{_ARGUMENT}": "value"}}')
