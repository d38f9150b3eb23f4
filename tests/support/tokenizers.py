"""Make small tokenizers in memory: one token per byte, the usual markers, any chat template."""

import importlib
import sys
from collections.abc import Sequence
from typing import Any

SPECIALS = ("<|im_start|>", "<|im_end|>")
ADDED = ("<think>", "</think>", "<tool_call>", "</tool_call>")

CHATML = """\
{%- if tools %}{{ '<|im_start|>system\\n' }}
{%- for tool in tools %}{{ tool | tojson }}{% endfor %}
{{- '<tool_call>{"name": ..}</tool_call><|im_end|>\\n' }}{% endif %}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.reasoning_content %}{{ '<think>' + message.reasoning_content + '</think>' }}{% endif %}
{{- message.content }}
{%- for call in message.tool_calls or [] %}{% set tool_call = call.function %}
{{- '\\n<tool_call>\\n{"name": "' + tool_call.name + '", "arguments": ' }}
{%- if tool_call.arguments is string %}{{ tool_call.arguments }}{% else %}{{ tool_call.arguments | tojson }}{% endif %}
{{- '}\\n</tool_call>' }}{% endfor %}
{{- '<|im_end|>\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined %}{{ '<think>\\n' if enable_thinking else '<think>\\n\\n</think>\\n\\n' }}{% endif %}
{%- endif %}"""

STRICT = """\
{%- for message in messages %}
{%- if message.role == 'system' and not loop.first %}
{{- raise_exception('System message must be at the beginning.') }}{% endif %}
{{- '[' + message.role + ']' + message.content }}{% endfor %}
{%- if messages[-1].role == 'system' %}{{ raise_exception('No user query found in messages.') }}{% endif %}
{{- '[assistant]' }}"""
"""Takes one system message, at the head, and wants a user (as Qwen3.5's does)."""

ALTERNATING = """\
{%- if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{%- for message in messages %}
{%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}
{{- '[' + message.role + ']' + message.content }}{% endfor %}
{{- '[assistant]' }}"""
"""Takes no system message at all and wants user and assistant in turn (as Gemma 2's does)."""


def byte_tokenizer(template: str | None = CHATML, added: Sequence[str] = ADDED) -> Any:
    """Return mlx-lm's wrapper around a tokenizer whose tokens are bytes and markers."""
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]
    core = importlib.import_module("tokenizers")
    transformers = importlib.import_module("transformers")
    wrapping = importlib.import_module("mlx_lm.tokenizer_utils")
    alphabet = sorted(core.pre_tokenizers.ByteLevel.alphabet())
    model = core.models.BPE(vocab={char: at for at, char in enumerate(alphabet)}, merges=[])
    tokenizer = core.Tokenizer(model)
    tokenizer.pre_tokenizer = core.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = core.decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIALS))
    tokenizer.add_tokens([core.AddedToken(text, special=False, normalized=False) for text in added])
    inner = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")
    inner.chat_template = template
    kind = wrapping._infer_tool_parser(inner)
    parsing = importlib.import_module(f"mlx_lm.tool_parsers.{kind}") if kind else None
    return wrapping.TokenizerWrapper(
        inner,
        wrapping.BPEStreamingDetokenizer,
        tool_call_start=parsing.tool_call_start if parsing else None,
        tool_call_end=parsing.tool_call_end if parsing else None,
        tool_parser=parsing.parse_tool_call if parsing else None,
    )


def wrapped(core: Any) -> Any:
    """Return mlx-lm's wrapper around a `tokenizers` tokenizer."""
    transformers = importlib.import_module("transformers")
    wrapping = importlib.import_module("mlx_lm.tokenizer_utils")
    return wrapping.TokenizerWrapper(transformers.PreTrainedTokenizerFast(tokenizer_object=core))


def sentence_piece(*, strip: bool) -> Any:
    """Return a tokenizer as Llama 2's or Gemma's: words with an underscore, single bytes for everything else."""
    core = importlib.import_module("tokenizers")
    words = [*"abcdefghijklmnopqrstuvwxyz", *"世界éï", "▁", "▁the", "▁and", "ing", "▁▁"]
    vocab = {"<unk>": 0} | {f"<0x{byte:02X}>": byte + 1 for byte in range(256)}
    vocab |= {word: len(vocab) + at for at, word in enumerate(words)}
    tokenizer = core.Tokenizer(
        core.models.BPE(vocab=vocab, merges=[], byte_fallback=True, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = core.pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    steps = [core.decoders.Replace("▁", " "), core.decoders.ByteFallback(), core.decoders.Fuse()]
    if strip:
        steps.append(core.decoders.Strip(" ", 1, 0))
    tokenizer.decoder = core.decoders.Sequence(steps)
    return wrapped(tokenizer)


def word_piece() -> Any:
    """Return a tokenizer whose pieces are no bytes."""
    core = importlib.import_module("tokenizers")
    words = ["[UNK]", "the", "cat", "##s", "##ing", "run", "##n", "!", "世", "##界", ","]
    model = core.models.WordPiece({word: at for at, word in enumerate(words)}, unk_token="[UNK]")
    tokenizer = core.Tokenizer(model)
    tokenizer.pre_tokenizer = core.pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = core.decoders.WordPiece()
    return wrapped(tokenizer)
