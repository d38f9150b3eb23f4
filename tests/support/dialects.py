"""Say one conversation in every dialect, and read what each of them answers in the same terms."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TOOL_NAME = "get_weather"
_ABOUT = "Say what the weather is"
_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
_FUNCTION = {"name": TOOL_NAME, "description": _ABOUT, "parameters": _SCHEMA}


@dataclass(frozen=True)
class Said:
    """Hold one turn of a conversation."""

    role: str
    text: str = ""
    city: str | None = None
    """Of an assistant: the city it asked the tool about."""


@dataclass(frozen=True)
class Answer:
    """Hold what all dialects tell of an answer."""

    text: str
    calls: tuple[tuple[str, str], ...]
    end: str
    prompt: int
    completion: int


@dataclass(frozen=True)
class Wish:
    """Say how to answer."""

    limit: int = 60
    temperature: float = 0.0
    seed: int | None = None
    tools: bool = False


Talk = Sequence[Said]


def _call_id(talk: Talk, at: int) -> str:
    """Return the id of the call at, or the last one before, a turn."""
    return f"call_{sum(said.city is not None for said in talk[: at + 1])}"


def _sampling(wish: Wish) -> dict[str, Any]:
    seed = {} if wish.seed is None else {"seed": wish.seed}
    return {"temperature": wish.temperature, **seed}


def chat(talk: Talk, wish: Wish) -> dict[str, Any]:
    """Return a body of Chat Completions."""
    messages: list[dict[str, Any]] = []
    for at, said in enumerate(talk):
        message: dict[str, Any] = {"role": said.role, "content": said.text}
        if said.city is not None:
            function = {"name": TOOL_NAME, "arguments": json.dumps({"city": said.city})}
            call = {"id": _call_id(talk, at), "type": "function", "function": function}
            message["tool_calls"] = [call]
        if said.role == "tool":
            message["tool_call_id"] = _call_id(talk, at)
        messages.append(message)
    body = {"messages": messages, "max_tokens": wish.limit, **_sampling(wish)}
    body["chat_template_kwargs"] = {"enable_thinking": False}
    return body | ({"tools": [{"type": "function", "function": _FUNCTION}]} if wish.tools else {})


def of_chat(told: Any) -> Answer:
    """Read an answer of Chat Completions."""
    (choice,) = told["choices"]
    calls = [call["function"] for call in choice["message"].get("tool_calls") or ()]
    return Answer(
        text=choice["message"]["content"] or "",
        calls=tuple((call["name"], call["arguments"]) for call in calls),
        end=choice["finish_reason"],
        prompt=told["usage"]["prompt_tokens"],
        completion=told["usage"]["completion_tokens"],
    )


def responses(talk: Talk, wish: Wish) -> dict[str, Any]:
    """Return a body of Responses."""
    items: list[dict[str, Any]] = []
    for at, said in enumerate(talk):
        if said.role == "tool":
            named = {"type": "function_call_output", "call_id": _call_id(talk, at)}
            items.append(named | {"output": said.text})
            continue
        if said.text:
            items.append({"role": said.role, "content": said.text})
        if said.city is not None:
            arguments = json.dumps({"city": said.city})
            named = {"type": "function_call", "call_id": _call_id(talk, at)}
            items.append(named | {"name": TOOL_NAME, "arguments": arguments})
    body = {"input": items, "max_output_tokens": wish.limit, **_sampling(wish), "store": False}
    body["chat_template_kwargs"] = {"enable_thinking": False}
    tool = {"type": "function", **_FUNCTION, "strict": False}
    return body | ({"tools": [tool]} if wish.tools else {})


def of_responses(told: Any) -> Answer:
    """Read an answer of Responses."""
    messages = [item for item in told["output"] if item["type"] == "message"]
    calls = [item for item in told["output"] if item["type"] == "function_call"]
    end = "length" if told["status"] == "incomplete" else "tool_calls" if calls else "stop"
    return Answer(
        text="".join(part["text"] for item in messages for part in item["content"]),
        calls=tuple((call["name"], call["arguments"]) for call in calls),
        end=end,
        prompt=told["usage"]["input_tokens"],
        completion=told["usage"]["output_tokens"],
    )


def anthropic(talk: Talk, wish: Wish) -> dict[str, Any]:
    """Return a body of Messages, whose dialect knows no seed."""
    messages: list[dict[str, Any]] = []
    for at, said in enumerate(talk):
        blocks: list[dict[str, Any]] = [{"type": "text", "text": said.text}] if said.text else []
        if said.role == "system":
            continue
        if said.city is not None:
            named = {"type": "tool_use", "id": _call_id(talk, at), "name": TOOL_NAME}
            blocks.append(named | {"input": {"city": said.city}})
        if said.role == "tool":
            result = {"type": "tool_result", "tool_use_id": _call_id(talk, at)}
            blocks = [result | {"content": said.text}]
        role = "assistant" if said.role == "assistant" else "user"
        messages.append({"role": role, "content": blocks})
    system = [said.text for said in talk if said.role == "system"]
    body = {"messages": messages, "max_tokens": wish.limit, "temperature": wish.temperature}
    body |= {"system": "\n\n".join(system)} if system else {}
    tool = {"name": TOOL_NAME, "description": _ABOUT, "input_schema": _SCHEMA}
    return body | ({"tools": [tool]} if wish.tools else {})


def of_anthropic(told: Any) -> Answer:
    """Read an answer of Messages."""
    ends = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
    calls = [block for block in told["content"] if block["type"] == "tool_use"]
    usage = told["usage"]
    return Answer(
        text="".join(block["text"] for block in told["content"] if block["type"] == "text"),
        calls=tuple((call["name"], json.dumps(call["input"])) for call in calls),
        end=ends[told["stop_reason"]],
        prompt=usage["input_tokens"] + usage["cache_read_input_tokens"],
        completion=usage["output_tokens"],
    )


def ollama(talk: Talk, wish: Wish) -> dict[str, Any]:
    """Return a body of Ollama's chat."""
    messages: list[dict[str, Any]] = []
    for said in talk:
        message: dict[str, Any] = {"role": said.role, "content": said.text}
        if said.city is not None:
            function = {"name": TOOL_NAME, "arguments": {"city": said.city}}
            message["tool_calls"] = [{"function": function}]
        if said.role == "tool":
            message["tool_name"] = TOOL_NAME
        messages.append(message)
    options = {"num_predict": wish.limit, **_sampling(wish)}
    body: dict[str, Any] = {"messages": messages, "options": options}
    body |= {"think": False, "stream": False}
    return body | ({"tools": [{"type": "function", "function": _FUNCTION}]} if wish.tools else {})


def of_ollama(told: Any) -> Answer:
    """Read an answer of Ollama's chat."""
    calls = [call["function"] for call in told["message"].get("tool_calls", ())]
    return Answer(
        text=told["message"]["content"],
        calls=tuple((call["name"], json.dumps(call["arguments"])) for call in calls),
        end="tool_calls" if calls else told["done_reason"],
        prompt=told["prompt_eval_count"],
        completion=told["eval_count"],
    )


def completions(prompt: str, wish: Wish) -> dict[str, Any]:
    """Return a body of Completions for a conversation that was rendered already."""
    return {"prompt": prompt, "max_tokens": wish.limit, **_sampling(wish)}


def of_completions(told: Any) -> Answer:
    """Read an answer of Completions."""
    (choice,), usage = told["choices"], told["usage"]
    return Answer(
        text=choice["text"],
        calls=(),
        end=choice["finish_reason"],
        prompt=usage["prompt_tokens"],
        completion=usage["completion_tokens"],
    )


def generate(prompt: str, wish: Wish) -> dict[str, Any]:
    """Return a body of Ollama's generate for a conversation that was rendered already."""
    options = {"num_predict": wish.limit, **_sampling(wish)}
    return {"prompt": prompt, "raw": True, "options": options, "stream": False}


def of_generate(told: Any) -> Answer:
    """Read an answer of Ollama's generate."""
    counts = {"prompt": told["prompt_eval_count"], "completion": told["eval_count"]}
    return Answer(text=told["response"], calls=(), end=told["done_reason"], **counts)


Speaking = tuple[str, Callable[[Talk, Wish], dict[str, Any]], Callable[[Any], Answer]]
CONVERSING: Mapping[str, Speaking] = {
    "chat": ("/v1/chat/completions", chat, of_chat),
    "responses": ("/v1/responses", responses, of_responses),
    "anthropic": ("/v1/messages", anthropic, of_anthropic),
    "ollama": ("/api/chat", ollama, of_ollama),
}
"""Every dialect that takes conversations: where, how one is said, how the answer is read."""

Continuing = tuple[str, Callable[[str, Wish], dict[str, Any]], Callable[[Any], Answer]]
CONTINUING: Mapping[str, Continuing] = {
    "completions": ("/v1/completions", completions, of_completions),
    "generate": ("/api/generate", generate, of_generate),
}
"""Those that take a plain prompt."""

SEEDLESS = {"anthropic"}
