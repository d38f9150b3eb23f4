"""Make request bodies: some whole, most of them wrong somewhere."""

import json
from typing import Any

from hypothesis import strategies as st

from mlxd.protocol.openai_chat import ChatCompletionRequest
from mlxd.protocol.openai_completions import CompletionRequest
from mlxd.protocol.openai_fields import IGNORED, REFUSED

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
_ROLE = st.sampled_from(["system", "developer", "user", "assistant", "tool"] * 4 + ["wizard", ""])
_PART = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image_url", "refusal", "smell"]) | ANYTHING},
    optional={"text": st.text() | ANYTHING, "image_url": ANYTHING},
)
_ARGUMENTS = st.sampled_from(['{"a": 1}', "{", "", "[]", "null"]) | ANYTHING
_CALL = st.fixed_dictionaries(
    {"function": st.fixed_dictionaries({"name": st.text()}, optional={"arguments": _ARGUMENTS})},
    optional={"id": st.text(), "type": st.sampled_from(["function", "custom"])},
)
_MESSAGE = st.fixed_dictionaries(
    {"role": _ROLE},
    optional={
        "content": st.text() | st.text() | st.lists(_PART, max_size=2) | ANYTHING,
        "tool_calls": st.lists(_CALL, max_size=2) | ANYTHING,
        "tool_call_id": st.text() | ANYTHING,
        "name": st.text(),
        "reasoning_content": st.text(),
    },
)
_FUNCTION = st.fixed_dictionaries({"name": st.text()}, optional={"parameters": ANYTHING})
_TOOL = st.fixed_dictionaries(
    {"type": st.sampled_from(["function", "web_search"])}, optional={"function": _FUNCTION}
)
_OPTIONS = st.dictionaries(
    st.sampled_from(["enable_thinking", "tokenize", "chat_template", "messages", "x"]), ANYTHING
)
_LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "messages": st.lists(_MESSAGE, max_size=4),
    "tools": st.lists(_TOOL, max_size=2),
    "tool_choice": st.sampled_from(["auto", "none", "required"]),
    "stop": st.text() | st.lists(st.text(), max_size=20),
    "logit_bias": st.dictionaries(st.text("0123456789-", max_size=6), st.floats(-120, 120)),
    "chat_template_kwargs": _OPTIONS,
    "reasoning_effort": st.sampled_from(["low", "none", "huge"]),
    "stream_options": st.fixed_dictionaries({"include_usage": st.booleans()}),
    "prompt": st.text() | st.lists(st.text() | st.integers(-5, 500), max_size=4),
}
_WHOLE = {
    "messages": [{"role": "user", "content": "hi"}],
    "prompt": "once",
    "model": "m",
    "max_tokens": 3,
}


_PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "n": st.integers(1, 3),
    "seed": st.integers(),
    "stream": st.booleans(),
    "logprobs": st.booleans() | st.integers(0, 3),
    "top_logprobs": st.integers(0, 3),
    "max_tokens": st.integers(1, 10_000),
}


def _body(names: tuple[str, ...]) -> st.SearchStrategy[bytes]:
    def field(name: str) -> st.SearchStrategy[Any]:
        known = {**_LIKELY, **_PLAIN}.get(name, st.none() | st.integers(1, 1))
        return st.one_of(*[known] * 7, ANYTHING)

    fields = {name: field(name) for name in names}
    fields |= {name: ANYTHING for name in sorted(IGNORED | set(REFUSED))}
    needed = {name: _WHOLE[name] for name in names if name in _WHOLE}
    rarely = [name for name in sorted(fields) if name not in names]
    often = [name for name in names if name != "model"]
    one_name = st.one_of(*[st.sampled_from(often)] * 7, st.sampled_from([*rarely, "model"]))
    chosen = st.lists(one_name, max_size=4, unique=True)
    changes = chosen.flatmap(lambda some: st.fixed_dictionaries({n: fields[n] for n in some}))
    return changes.map(lambda changed: json.dumps(needed | changed).encode())


CHAT = _body(ChatCompletionRequest.__struct_fields__)
COMPLETIONS = _body(CompletionRequest.__struct_fields__)


@st.composite
def damaged(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """Give a body with a few bytes lost or overwritten."""
    body = bytearray(draw(bodies))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=3))
    return bytes(body)
