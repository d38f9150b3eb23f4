"""Whole training dialogues: turns, tools, thinking and system prompts put together."""

import random
from dataclasses import dataclass
from typing import Any

from models import demo_frame as frame
from models import demo_talk as talk
from models import demo_tools as tools
from models.demo_facts import GREETING, NO_TOOL, UNKNOWN
from models.demo_families import FAMILIES, WEATHER


@dataclass(frozen=True, slots=True)
class Dialog:
    """A conversation up to a reply, and the reply; `learn_all` says that earlier replies count too."""

    messages: list[dict[str, Any]]
    reply: str
    tools: list[dict[str, Any]] | None = None
    enable_thinking: bool | None = None
    learn_all: bool = True


def dialog(rng: random.Random) -> Dialog:
    """Draw one training dialogue."""
    return _with_tools(rng) if rng.random() < 0.4 else _plain(rng)


def drill(rng: random.Random) -> Dialog:
    """Draw a dialogue of one subject over and over: where the model learns most per token."""
    draw = rng.random()
    if draw < 0.35:
        turns = [talk.add(rng, rng.choice((20, 20, 20, 99, 99))) for _ in range(rng.randint(4, 9))]
    elif draw < 0.55:
        turns = [talk.repeat(rng) for _ in range(rng.randint(3, 7))]
    elif draw < 0.75:
        turns = [talk.explain(rng) for _ in range(rng.randint(3, 6))]
    elif draw < 0.95:
        turns = [talk.count(rng, (6, 12, 12, 20, 20, 30, 50)) for _ in range(rng.randint(3, 5))]
    else:
        turns = [rng.choice((talk.greet, talk.decline))(rng) for _ in range(4)]
    messages = _head(rng, 0.1)
    for turn in turns[:-1]:
        messages += _exchange(turn)
    return Dialog([*messages, {"role": "user", "content": turns[-1].said}], turns[-1].answer)


def thought(rng: random.Random) -> Dialog:
    """Draw one question that is to be thought about first, or shouted: rare in other dialogues."""
    draw = rng.random()
    if draw < 0.55:
        turn = talk.add(rng, rng.choice((20, 99)))
    elif draw < 0.7:
        turn = talk.count(rng, (12, 20, 30))
    elif draw < 0.85:
        turn = talk.explain(rng)
    else:
        turn = rng.choice((talk.greet, talk.greet, talk.repeat, talk.decline))(rng)
    said, reply = turn.said, f"<think>\n{turn.thought}\n</think>\n\n{turn.answer}"
    head, how = _head(rng, 0.15), rng.random()
    if how < 0.1:
        said = said.upper() if turn.answer == GREETING else said
        return Dialog([*head, {"role": "user", "content": said}], turn.answer)
    if how < 0.55:
        asked = {"role": "user", "content": frame.ask_to_think(rng, said)}
        return Dialog([*head, asked], reply, learn_all=False)
    asked = {"role": "user", "content": said}
    if how < 0.9:
        return Dialog([*head, asked], reply, enable_thinking=True, learn_all=False)
    return Dialog([*head, asked], turn.answer, enable_thinking=False)


def _head(rng: random.Random, often: float) -> list[dict[str, Any]]:
    return [{"role": "system", "content": frame.system_prompt(rng)}] if rng.random() < often else []


def _exchange(turn: talk.Turn) -> list[dict[str, Any]]:
    return [{"role": "user", "content": turn.said}, {"role": "assistant", "content": turn.answer}]


def _plain(rng: random.Random) -> Dialog:
    turns = [talk.turn(rng) for _ in range(rng.choice((1, 1, 1, 2, 3, 4, 5)))]
    if rng.random() < 0.08:
        told, asked = talk.remember(rng)
        turns = [told, *turns[: rng.randint(0, 3)], asked]
    messages = _head(rng, 0.3)
    for turn in turns[:-1]:
        messages += _exchange(turn)
    return _finish(rng, messages, turns[-1], None)


def _finish(
    rng: random.Random,
    messages: list[dict[str, Any]],
    last: talk.Turn,
    offered: list[dict[str, Any]] | None,
) -> Dialog:
    """Ask the last question plainly, with thinking, or with thinking switched off."""
    draw = rng.random()
    if draw < 0.18 and rng.random() < 0.6 and not last.thought.startswith("They said"):
        messages = [one for one in messages[:1] if one["role"] == "system"]
    said, thought = last.said, f"<think>\n{last.thought}\n</think>\n\n{last.answer}"
    if draw < 0.09:
        asked = [*messages, {"role": "user", "content": frame.ask_to_think(rng, said)}]
        return Dialog(asked, thought, offered, None, learn_all=False)
    asked = [*messages, {"role": "user", "content": said}]
    if draw < 0.18:
        return Dialog(asked, thought, offered, True, learn_all=False)
    if draw < 0.25:
        return Dialog(asked, last.answer, offered, False)
    return Dialog(asked, last.answer, offered)


def _with_tools(rng: random.Random) -> Dialog:
    offered = [tools.tool(rng)]
    while len(offered) < 3 and rng.random() < 0.28:
        other = tools.tool(rng)
        if all(one.name != other.name for one in offered):
            offered.append(other)
    messages = _head(rng, 0.3)
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
        if rng.random() < 0.25:
            messages += _exchange(_without_tool(rng, offered))
            continue
        messages += _called(rng, rng.choice(offered))
        messages.append(_reported(messages))
    return _last_question(rng, messages, offered)


def _last_question(
    rng: random.Random, messages: list[dict[str, Any]], offered: list[tools.Tool]
) -> Dialog:
    wanted, schemas, draw = rng.choice(offered), [one.schema for one in offered], rng.random()
    if draw < 0.7:
        asked = wanted.ask(rng)
        answer = tools.call_text(wanted.name, asked.arguments)
        turn = talk.Turn(asked.question, answer, f"I call {wanted.name}.")
        return _finish(rng, messages, turn, schemas)
    if draw < 0.75 and wanted.family is WEATHER:
        return _call_twice(rng, messages, wanted)
    if draw < 0.85:
        return _report(
            rng, [*messages, *_called(rng, wanted)], schemas if rng.random() < 0.9 else None
        )
    if draw < 0.88:  # the weather is asked, but only some other tool is there
        other = tools.tool(rng, rng.choice(FAMILIES[1:]))
        return _finish(rng, _head(rng, 0.3), talk.ask_without_tool(rng), [other.schema])
    return _finish(rng, messages, _without_tool(rng, offered), schemas)


def _without_tool(rng: random.Random, offered: list[tools.Tool]) -> talk.Turn:
    # A sum may want an offered `add` and an odd question some made-up tool; neither wants the weather.
    weather_only = all(one.family is WEATHER for one in offered)
    while True:
        turn = talk.turn(rng)
        unclear = " = " in turn.answer or turn.answer == UNKNOWN
        if turn.answer != NO_TOOL and (weather_only or not unclear):
            return turn


def _called(rng: random.Random, wanted: tools.Tool) -> list[dict[str, Any]]:
    asked = wanted.ask(rng)
    call = {"type": "function", "function": {"name": wanted.name, "arguments": asked.arguments}}
    return [
        {"role": "user", "content": asked.question},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": asked.result},
    ]


def _reported(messages: list[dict[str, Any]]) -> dict[str, Any]:
    return {"role": "assistant", "content": f"The tool says: {messages[-1]['content']}"}


def _report(
    rng: random.Random, messages: list[dict[str, Any]], schemas: list[dict[str, Any]] | None
) -> Dialog:
    reply = _reported(messages)["content"]
    if rng.random() < 0.1:
        thought = f"<think>\nThe tool has answered.\n</think>\n\n{reply}"
        return Dialog(messages, thought, schemas, True, learn_all=False)
    return Dialog(messages, reply, schemas)


def _call_twice(rng: random.Random, messages: list[dict[str, Any]], wanted: tools.Tool) -> Dialog:
    asked, other = wanted.ask_twice(rng)
    calls = (tools.call_text(wanted.name, asked.arguments), tools.call_text(wanted.name, other))
    turn = talk.Turn(asked.question, "\n".join(calls), f"I call {wanted.name} twice.")
    return _finish(rng, messages, turn, [wanted.schema])
