"""Name every format of calls that can be forced: a template that mlx-lm knows it by, and tokens it may have."""

from dataclasses import dataclass
from typing import Any

from support.tokenizers import ADDED, byte_tokenizer

from mlxd.workers.chat.formats import AnswerFormat, format_of


@dataclass(frozen=True)
class CallFormat:
    """Describe one format."""

    name: str
    template: str
    markers: tuple[str, ...]
    """What is one token each in the models that use it."""
    whole_schemas: bool = True
    """Arguments are one JSON object, so any schema can be held to."""
    spelled_too: bool = True
    """Some models spell the markers in several tokens."""

    def tokenizer(self, *, with_markers: bool) -> Any:
        """Return a byte tokenizer of such a model."""
        return byte_tokenizer(self.template, (*ADDED[:2], *(self.markers if with_markers else ())))

    def start(self, tokenizer: Any) -> str:
        """Return how a call begins."""
        return tokenizer.tool_call_start or "<|channel|>commentary to=functions."

    def reading(self, tokenizer: Any) -> AnswerFormat:
        """Return what reads and writes the model's answers."""
        return format_of(tokenizer)


KIMI_MARKERS = (
    "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_begin|>",
    "<|tool_call_argument_begin|>", "<|tool_call_end|>",
)  # fmt: skip
HARMONY_MARKERS = (
    "<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|call|>", "<|return|>",
)  # fmt: skip

FORMATS = (
    CallFormat("json_tools", "<tool_call>{{ tool_call.name }}", ("<tool_call>", "</tool_call>")),
    CallFormat("mistral list", "[TOOL_CALLS]", ("[TOOL_CALLS]",)),
    CallFormat("mistral headed", "[TOOL_CALLS]f[ARGS]{}", ("[TOOL_CALLS]", "[ARGS]")),
    CallFormat("kimi_k2", KIMI_MARKERS[0], KIMI_MARKERS),
    CallFormat("longcat", "<longcat_tool_call>", ("<longcat_tool_call>", "</longcat_tool_call>")),
    CallFormat("harmony", "<|channel|><|message|>", HARMONY_MARKERS, spelled_too=False),
    CallFormat(
        "pythonic",
        "<|tool_call_start|>",
        ("<|tool_call_start|>", "<|tool_call_end|>"),
        whole_schemas=False,
    ),
    CallFormat(
        "qwen3_coder",
        "<tool_call>\n<function=",
        ("<tool_call>", "</tool_call>"),
        whole_schemas=False,
    ),
    CallFormat(
        "minimax_m2",
        "<minimax:tool_call>",
        ("<minimax:tool_call>", "</minimax:tool_call>"),
        whole_schemas=False,
    ),
    CallFormat(
        "glm47",
        "<tool_call>f<arg_key>",
        ("<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"),
        whole_schemas=False,
    ),
)
