"""Turn a request into the grammar its answer must follow, if it demands anything; pure."""

import re
from collections.abc import Mapping

from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.workers.chat import schemas
from mlxd.workers.chat.formats import AnswerFormat
from mlxd.workers.chat.lark import Demand, Draft, literal
from mlxd.workers.chat.output_format import (
    Choice,
    JsonObject,
    JsonSchema,
    Lark,
    OutputFormat,
    Regex,
)
from mlxd.workers.chat.request import ChatRequest, Tool
from mlxd.workers.chat.schema_repairs import unenforceable
from mlxd.workers.chat.want import Thinking, Want


def is_free(request: ChatRequest) -> bool:
    """Say whether any answer will do."""
    strict = any(tool.strict for tool in request.tools)
    return request.controls.output is None and request.must_call is None and not strict


def of_chat(
    request: ChatRequest, thinking: Thinking, format: AnswerFormat, specials: Mapping[str, int]
) -> Demand:
    """Return what the answer must satisfy; raises CallerError naming the field that can't be enforced."""
    draft = Draft(specials)
    output = request.controls.output
    tools, must = request.tools, request.must_call
    if must is not None:
        tools = _callable(request)
    field = must.field if must is not None else output.field if output is not None else "tools"
    if request.prefill:
        reason = "not together with the beginning of an answer, which may break it"
        raise UnsupportedField(field, reason)
    want = Want(
        thinking=thinking,
        output=None if output is None or must is not None else text(draft, output),
        tools=tools,
        must_call=None if must is None else must.field,
        many_calls=request.parallel_calls and (must is None or must.name is None),
    )
    return draft.finish(format.grammar(draft, want), field)


def of_completion(output: OutputFormat, specials: Mapping[str, int]) -> Demand:
    """Return what a plain continuation must satisfy; raises InvalidRequest."""
    draft = Draft(specials)
    return draft.finish(text(draft, output), output.field)


def _callable(request: ChatRequest) -> tuple[Tool, ...]:
    """Return the tools of which one must be called."""
    must = request.must_call
    assert must is not None
    if must.name is None:
        if not request.tools:
            raise InvalidRequest(f"{must.field}: there is no tool to call", field=must.field)
        return request.tools
    named = tuple(tool for tool in request.tools if tool.name == must.name)
    if not named:
        raise InvalidRequest(f"{must.field}: no tool is named {must.name[:64]!r}", field=must.field)
    return named[:1]


def text(draft: Draft, output: OutputFormat) -> str:
    """Return the expression for visible text; raises InvalidRequest."""
    match output:
        case JsonObject():
            return draft.part(schemas.grammar(schemas.ANY_OBJECT, schemas.LOOSE), output.field)
        case JsonSchema():
            reason = unenforceable(output.schema)
            if reason is not None:
                raise refusal(output.field, reason)
            return draft.part(schemas.grammar(output.schema, schemas.LOOSE), output.field)
        case Regex():
            return draft.part(
                {"lark_grammar": f"start: /{_slashed(output.pattern)}/"}, output.field
            )
        case Lark():
            return draft.part({"lark_grammar": output.grammar}, output.field)
        case Choice():
            options = [option for option in dict.fromkeys(output.options) if option]
            if not options or len(options) < len(set(output.options)):
                raise InvalidRequest(
                    f"{output.field}: expected texts that are not empty", field=output.field
                )
            return draft.terminal(" | ".join(map(literal, options)))


def refusal(field: str, reason: str) -> InvalidRequest:
    """Return the refusal of something that no grammar enforces."""
    return InvalidRequest(f"{field}: can't be enforced: {reason}", field=field)


_ASCII = {"d": ("0-9", "[0-9]", "[^0-9]"), "w": ("A-Za-z0-9_", "[A-Za-z0-9_]", "[^A-Za-z0-9_]")}
_TOKEN = re.compile(r"\\(.)|(\[\^?\]?)|(\])|(/)|(\n)", re.DOTALL)


def _slashed(pattern: str) -> str:
    r"""Return a pattern as it stands between slashes; `\d` and `\w` mean ASCII, as in JSON schemas."""
    inside = False

    def written(found: re.Match[str]) -> str:
        nonlocal inside
        escaped, opening, closing, slash, line = found.groups()
        if escaped is not None:
            if escaped == "\n":
                return "\\n"
            if escaped.lower() not in _ASCII or (inside and escaped.isupper()):
                return found[0]
            within, alone, negated = _ASCII[escaped.lower()]
            return within if inside else negated if escaped.isupper() else alone
        if opening is not None:
            inside = True
        if closing is not None:
            inside = False
        return "\\/" if slash is not None else "\\n" if line is not None else found[0]

    return _TOKEN.sub(written, pattern)
