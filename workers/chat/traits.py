"""Find out by trial what a chat template takes, so that any order of messages can be put in its terms."""

from dataclasses import dataclass
from typing import Protocol

Message = dict[str, object]


class Render(Protocol):
    """Render messages with a generation prompt; raises whatever the template raises."""

    def __call__(self, messages: list[Message], **options: object) -> str:
        """Return the prompt."""
        ...


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
    thinking_switch: bool = False
    """Thinking can be switched on and off."""
    thinks_unasked: bool = False
    """It is on where nobody says anything."""


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
        **_thinking(render, [user]),
    )


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _attempt(render: Render, messages: list[Message], **options: object) -> str:
    try:
        return render(messages, **options)
    except (
        Exception
    ):  # templates raise whatever their authors wrote; all of it means "not like this"
        return ""


def _shows(render: Render, messages: list[Message], *wanted: str) -> bool:
    text = _attempt(render, messages)
    return all(word in text for word in wanted)


def _thinking(render: Render, messages: list[Message]) -> dict[str, bool]:
    on, off = (_attempt(render, messages, enable_thinking=value) for value in (True, False))
    unasked = _attempt(render, messages)
    return {"thinking_switch": on != off, "thinks_unasked": unasked == on != off}


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
