"""Write calls as grammar, in the format that a model has learned; the counterpart of mlx-lm's tool parsers."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mlxd.protocol.errors import UnsupportedField
from mlxd.workers.chat import schemas
from mlxd.workers.chat.lark import Draft, either, literal
from mlxd.workers.chat.request import Tool
from mlxd.workers.chat.schema_repairs import unenforceable
from mlxd.workers.chat.spelled_arguments import PLAIN_NAME, Tags, inexpressible, keyword_arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Notation:
    """Say how calls stand between their markers; all but `call` are Lark expressions."""

    call: Callable[[Draft, Tool], str]
    before: str = ""
    after: str = ""
    between: str = ""
    marked_each: bool = True
    """Each call has its own pair of markers; otherwise one pair holds them all."""

    def block(self, draft: Draft, tools: Sequence[Tool], *, many: bool) -> str:
        """Return an expression for what stands between one pair of markers."""
        one = draft.rule(either(*(_checked(self.call, draft, tool) for tool in tools)))
        calls = one if self.marked_each or not many else several(one, self.between)
        return " ".join(filter(None, [self.before, calls, self.after]))


def several(one: str, between: str) -> str:
    """Return an expression for one or more of the same."""
    return f"{one} ( {between} {one} )*" if between else f"{one}+"


def _checked(call: Callable[[Draft, Tool], str], draft: Draft, tool: Tool) -> str:
    if not PLAIN_NAME.fullmatch(tool.name):
        raise inexpressible(tool, f"the name {tool.name!r}")
    return call(draft, tool)


def json_arguments(draft: Draft, tool: Tool) -> str:
    """Return an expression for a tool's arguments as one JSON object."""
    reason = unenforceable(tool.parameters)
    if reason is not None and tool.strict:
        raise UnsupportedField(tool.field, f"can't be enforced: {reason}")
    wanted = schemas.of_object(tool.parameters if reason is None else None)
    loosest = schemas.grammar(schemas.ANY_OBJECT, schemas.AS_TEMPLATES_DO)
    return draft.part(
        schemas.grammar(wanted, schemas.AS_TEMPLATES_DO),
        tool.field,
        None if tool.strict else loosest,
    )


def _json_call(draft: Draft, tool: Tool) -> str:
    head = f'{{"name": {json.dumps(tool.name)}, "arguments": '
    return f'{literal(head)} {json_arguments(draft, tool)} "}}"'


def _headed_call(draft: Draft, tool: Tool) -> str:
    return f"{draft.marker(tool.name + '[ARGS]')} {json_arguments(draft, tool)}"


def _kimi_call(draft: Draft, tool: Tool) -> str:
    head = draft.marker(f"<|tool_call_begin|>functions.{tool.name}:")
    begin, end = draft.marker("<|tool_call_argument_begin|>"), draft.marker("<|tool_call_end|>")
    return f"{head} /[0-9]{{1,3}}/ {begin} {json_arguments(draft, tool)} {end}"


def _python_call(draft: Draft, tool: Tool) -> str:
    if not tool.name.replace(".", "_").isidentifier():
        raise inexpressible(tool, f"the name {tool.name!r}, which is none in Python")
    return f'{literal(tool.name + "(")} {keyword_arguments(draft, tool)} ")"'


def _tagged(opening: str, closing: str, tags: Tags) -> Callable[[Draft, Tool], str]:
    def call(draft: Draft, tool: Tool) -> str:
        head, tail = draft.marker(opening.format(tool.name)), closing and draft.marker(closing)
        return " ".join(filter(None, [head, tags.arguments(draft, tool), tail]))

    return call


_LINE, _MAYBE_LINE = '"\\n"', '"\\n"?'


_KEYED = Notation(
    call=_tagged(
        "{}\n",
        "",
        Tags(opening="<arg_key>{}</arg_key><arg_value>", closing="</arg_value>", after=_MAYBE_LINE),
    ),
    between=_MAYBE_LINE,
)
"""Keys and values in turn, as GLM writes them."""
_NOTATIONS: Final[Mapping[str, Notation]] = {
    "json_tools": Notation(call=_json_call, before=_LINE, after=_LINE, between=_LINE),
    "kimi_k2": Notation(call=_kimi_call, marked_each=False),
    "pythonic": Notation(
        call=_python_call, before='"["', after='"]"', between='", "', marked_each=False
    ),
    "qwen3_coder": Notation(
        call=_tagged(
            "<function={}>\n",
            "</function>",
            Tags(opening="<parameter={}>\n", closing="\n</parameter>", after=_LINE),
        ),
        before=_LINE, after=_LINE, between=_LINE,
    ),
    "minimax_m2": Notation(
        call=_tagged(
            '<invoke name="{}">\n',
            "</invoke>",
            Tags(opening='<parameter name="{}">', closing="</parameter>", after=_LINE),
        ),
        before=_LINE, after=_LINE, between=_LINE, marked_each=False,
    ),
    "glm47": _KEYED,
    "laguna": _KEYED,
    "longcat": Notation(call=_json_call),
}  # fmt: skip
_MISTRAL_HEADED: Final = Notation(call=_headed_call)
_MISTRAL_LIST: Final = Notation(
    call=_json_call, before='" "? "["', after='"]"', between='", "', marked_each=False
)


def notation_of(tokenizer: Any) -> Notation | None:
    """Return how a model writes calls, None where no grammar says it (or the model writes none)."""
    module = getattr(tokenizer.tool_parser, "__module__", "")
    name = module.rpartition(".")[2]
    if name == "mistral":
        template = tokenizer.chat_template
        headed = isinstance(template, str) and "[ARGS]" in template
        return _MISTRAL_HEADED if headed else _MISTRAL_LIST
    return _NOTATIONS.get(name)
