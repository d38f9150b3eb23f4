"""Make bodies of Anthropic's Messages: some whole, most of them wrong somewhere."""

import json
from typing import Any

from hypothesis import strategies as st
from support.bodies import ANYTHING

from mlxd.protocol.anthropic_messages import IGNORED, REFUSED, MessagesRequest

_TEXT = st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=20)})
_SOURCE = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "base64", "url", "file", "content", "x"])},
    optional={"data": st.text(), "url": st.text(), "file_id": st.text(), "content": st.text()},
)
_BLOCK: st.SearchStrategy[Any] = st.one_of(
    _TEXT,
    _TEXT,
    st.fixed_dictionaries({"type": st.sampled_from(["image", "document"]), "source": _SOURCE}),
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": st.text(), "signature": st.text()}),
    st.fixed_dictionaries(
        {"type": st.just("tool_use"), "id": st.text(), "name": st.text(), "input": ANYTHING | st.just({})}
    ),
    st.fixed_dictionaries(
        {"type": st.just("tool_result"), "tool_use_id": st.text()},
        optional={"content": st.text() | st.lists(_TEXT, max_size=2) | ANYTHING, "is_error": st.booleans()},
    ),
    st.fixed_dictionaries({"type": st.sampled_from(["redacted_thinking", "smell"])}, optional={"data": st.text()}),
    ANYTHING,
)  # fmt: skip
_CONTENT = st.text(max_size=30) | st.lists(_BLOCK, max_size=3)
_MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant"] * 4 + ["system", "tool"])},
    optional={"content": _CONTENT},
)
_TOOL = st.fixed_dictionaries(
    {"name": st.text(max_size=6), "input_schema": st.just({"type": "object"}) | ANYTHING},
    optional={"type": st.sampled_from(["custom", "bash_20250124"]), "description": st.text()},
)
_CHOICE = st.fixed_dictionaries(
    {"type": st.sampled_from(["auto", "none", "any", "tool", "x"])},
    optional={"name": st.text(), "disable_parallel_tool_use": st.booleans()},
)
_THINKING = st.fixed_dictionaries(
    {"type": st.sampled_from(["enabled", "disabled", "adaptive"])},
    optional={"budget_tokens": st.integers(-1, 5000), "display": st.sampled_from(["omitted", "x"])},
)
_LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "messages": st.lists(_MESSAGE, max_size=4),
    "system": st.text() | st.lists(_TEXT, max_size=2),
    "tools": st.lists(_TOOL, max_size=2),
    "tool_choice": _CHOICE,
    "thinking": _THINKING,
    "stop_sequences": st.lists(st.text(max_size=4), max_size=4),
    "max_tokens": st.integers(0, 10_000),
    "stream": st.booleans(),
    "temperature": st.floats(0, 2),
    "top_k": st.integers(0, 10),
    "output_config": st.fixed_dictionaries({"effort": st.sampled_from(["low", "max", "x"])}),
    "metadata": st.fixed_dictionaries({}, optional={"user_id": st.text() | ANYTHING}),
}
_WHOLE = {"model": "m", "max_tokens": 3, "messages": [{"role": "user", "content": "hi"}]}
_NAMES = sorted({*MessagesRequest.__struct_fields__, *IGNORED, *REFUSED} - {"model"})


def _field(name: str) -> st.SearchStrategy[Any]:
    return st.one_of(*[_LIKELY[name]] * 7, ANYTHING) if name in _LIKELY else ANYTHING


_CHANGES = st.lists(
    st.sampled_from([*_LIKELY] * 4 + _NAMES), max_size=4, unique=True
).flatmap(lambda names: st.fixed_dictionaries({name: _field(name) for name in names}))  # fmt: skip

MESSAGES = _CHANGES.map(lambda changed: json.dumps(_WHOLE | changed).encode())
