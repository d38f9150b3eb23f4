"""Put what a request demands in the terms of harmony's channels."""

from mlxd.workers.chat.call_notations import json_arguments
from mlxd.workers.chat.lark import TEXT, Draft, either
from mlxd.workers.chat.request import Tool
from mlxd.workers.chat.spelled_arguments import PLAIN_NAME, inexpressible
from mlxd.workers.chat.want import Want

_NEXT = "<|end|><|start|>assistant"


def write(draft: Draft, want: Want) -> str:
    """Return the expression for a whole answer, reasoning included: that can't be switched off."""
    analysis = _message(draft, "analysis", f"{TEXT} {draft.marker(_NEXT)}")
    final = _message(draft, "final", want.output or TEXT)
    if not want.tools:
        return f"( {analysis} )* {final}"
    call = either(*(_call(draft, tool) for tool in want.tools))
    if want.must_call is not None:
        return f"( {analysis} )* {call}"
    preamble = _message(draft, "commentary", f"{TEXT} {draft.marker(_NEXT)}")
    return f"( {analysis} )* ( {final} | ( {preamble} )? {call} )"


def _message(draft: Draft, channel: str, body: str) -> str:
    return f"{draft.marker(f'<|channel|>{channel}<|message|>')} {body}"


def _call(draft: Draft, tool: Tool) -> str:
    """Return the expression for a call; the token behind it, which ends the answer, is no part of the grammar."""
    if not PLAIN_NAME.fullmatch(tool.name):
        raise inexpressible(tool, f"the name {tool.name!r}")
    header = f"<|channel|>commentary to=functions.{tool.name} <|constrain|>json<|message|>"
    return draft.rule(f"{draft.marker(header)} {json_arguments(draft, tool)}")
