"""Make bodies of Responses requests: some whole, most of them wrong somewhere."""

import json
from typing import Any

from hypothesis import strategies as st
from support.bodies import ANYTHING

from mlxd.protocol.openai_responses import IGNORED, REFUSED, ResponsesRequest

_TEXT = st.text(max_size=12)
_PART = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["input_text", "output_text", "refusal", "input_image", "input_file", "smell"]
        )
    },
    optional={"text": _TEXT | ANYTHING, "refusal": _TEXT, "image_url": ANYTHING},
)
_CONTENT = _TEXT | st.lists(_PART, max_size=2) | ANYTHING
_ID = st.sampled_from(["a", "b", ""]) | ANYTHING
_ROLE = st.sampled_from(["user", "assistant", "system", "developer"] * 3 + ["wizard", ""])
ITEM_TYPES = (
    "message", "reasoning", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output",
    "tool_search_call", "tool_search_output", "local_shell_call", "local_shell_call_output", "shell_call",
    "apply_patch_call", "mcp_call", "additional_tools", "web_search_call", "compaction", "item_reference", "poem",
)  # fmt: skip
_FUNCTION = st.fixed_dictionaries(
    {"type": st.sampled_from(["function", "custom", "web_search", "tool_search", "local_shell"])},
    optional={
        "name": st.sampled_from(["f", "note"]) | ANYTHING,
        "parameters": st.just({"type": "object"}) | ANYTHING,
        "format": ANYTHING,
        "description": _TEXT | ANYTHING,
        "execution": st.just("client") | ANYTHING,
        "strict": st.booleans() | ANYTHING,
    },
)
_TOOL = _FUNCTION | st.fixed_dictionaries(
    {"type": st.just("namespace"), "name": _TEXT, "tools": st.lists(_FUNCTION, max_size=2)}
)
_ITEM = st.fixed_dictionaries(
    {"type": st.sampled_from(ITEM_TYPES) | ANYTHING},
    optional={
        "role": _ROLE,
        "content": _CONTENT,
        "summary": st.lists(_PART, max_size=1) | ANYTHING,
        "encrypted_content": st.sampled_from(["mlxd1.aGk=", "mlxd1.x", "gAAA"]) | ANYTHING,
        "id": _ID,
        "call_id": _ID,
        "name": st.sampled_from(["f", "note"]) | ANYTHING,
        "namespace": _TEXT | ANYTHING,
        "arguments": st.sampled_from(['{"a": 1}', "{", ""]) | ANYTHING,
        "input": _TEXT | ANYTHING,
        "output": _CONTENT,
        "action": ANYTHING,
        "tools": st.lists(_TOOL, max_size=1) | ANYTHING,
        "status": st.just("completed") | ANYTHING,
    },
)
_MESSAGE = st.fixed_dictionaries({"role": _ROLE, "content": _CONTENT})
_CHOICE = st.sampled_from(
    ["auto", "none", {"type": "function", "name": "f"}, {"type": "allowed_tools", "tools": []}]
)
_LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "input": _TEXT | st.lists(_MESSAGE | _ITEM, max_size=4),
    "instructions": _TEXT,
    "tools": st.lists(_TOOL, max_size=2),
    "tool_choice": _CHOICE,
    "previous_response_id": _TEXT,
    "conversation": _TEXT | st.fixed_dictionaries({"id": _TEXT}),
    "store": st.booleans(),
    "background": st.booleans(),
    "stream": st.booleans(),
    "max_output_tokens": st.integers(1, 10_000),
    "top_logprobs": st.integers(0, 3),
    "text": st.fixed_dictionaries({}, optional={"verbosity": _TEXT, "format": ANYTHING}),
    "reasoning": st.fixed_dictionaries({"effort": st.sampled_from(["low", "none", "huge"])}),
    "include": st.lists(
        st.sampled_from(["reasoning.encrypted_content", "message.output_text.logprobs", "x"]),
        max_size=2,
    ),
    "metadata": st.dictionaries(_TEXT, _TEXT, max_size=2),
    "parallel_tool_calls": st.booleans(),
    "stop": _TEXT | st.lists(_TEXT, max_size=20),
}


def _field(name: str) -> st.SearchStrategy[Any]:
    return st.one_of(*[_LIKELY.get(name, st.none() | st.integers(1, 1))] * 9, ANYTHING)


def bodies(model: str) -> st.SearchStrategy[bytes]:
    """Give bodies that name a model."""
    needed = {"model": model, "input": "hi", "max_output_tokens": 20}
    often = sorted({*_LIKELY, *ResponsesRequest.__struct_fields__} - {"model"})
    rarely = sorted(IGNORED | set(REFUSED))
    deep = st.sampled_from(["input", "tools", "tool_choice", "text"])
    one = st.one_of(deep, deep, *[st.sampled_from(often)] * 3, st.sampled_from(rarely))
    names = st.lists(one, max_size=5, unique=True)
    changes = names.flatmap(lambda some: st.fixed_dictionaries({n: _field(n) for n in some}))
    return changes.map(lambda changed: json.dumps(needed | changed).encode())
