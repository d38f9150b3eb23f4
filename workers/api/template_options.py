"""Turn what OpenAI's dialects say of reasoning, and options of the caller's own, into options of a chat template."""

from collections.abc import Mapping

from mlxd.protocol.errors import InvalidRequest

_RESERVED = frozenset(
    {
        "add_generation_prompt", "chat_template", "continue_final_message", "conversation", "max_length", "messages",
        "padding", "return_assistant_tokens_mask", "return_dict", "return_tensors", "sanitize_control_tokens",
        "tokenize", "tokenizer_kwargs", "tools", "truncation",
    }
)  # fmt: skip
"""Names in `chat_template_kwargs` that steer the renderer, not the template."""

_THINKS = {
    "none": False, "minimal": None, "low": True, "medium": True, "high": True, "xhigh": True, "max": True,
}  # fmt: skip
"""What each effort says to templates that only know thinking on and off."""


def template_options(
    effort: str | None, own: Mapping[str, object] | None, *, field: str
) -> dict[str, object]:
    """Return the options for an effort, which `field` names, and the caller's own; raises InvalidRequest."""
    options: dict[str, object] = {}
    if effort is not None:
        if effort not in _THINKS:
            expected = ", ".join(_THINKS)
            raise InvalidRequest(
                f"{field}: expected one of {expected}, got {effort[:32]!r}", field=field
            )
        options["reasoning_effort"] = effort
        if _THINKS[effort] is not None:
            options["enable_thinking"] = _THINKS[effort]
    for name, value in (own or {}).items():
        if name in _RESERVED:
            path = f"chat_template_kwargs.{name}"
            raise InvalidRequest(f"{path}: not an option of chat templates", field=path)
        options[name] = value
    return options
