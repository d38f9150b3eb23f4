"""Chat templates of the model families, as their tokenizer_config.json carries them."""

import json
from typing import Any, Final

import jinja2

CHATML: Final = r"""{%- macro text_of(content) -%}
{%- if content is string %}{{- content }}
{%- elif content %}{%- for part in content %}{{- part.text or '' }}{%- endfor %}
{%- endif %}
{%- endmacro -%}
{%- if tools %}
{{- '<|im_start|>system\n' }}
{%- if messages[0].role == 'system' %}{{- text_of(messages[0].content) + '\n\n' }}{%- endif %}
{{- '# Tools' }}
{%- for tool in tools %}{{- '\n' }}{{- tool | tojson }}{%- endfor %}
{{- '\nCall one as <tool_call>\n{"name": <name>, "arguments": <object>}\n</tool_call><|im_end|>\n' }}
{%- elif messages[0].role == 'system' %}
{{- '<|im_start|>system\n' + text_of(messages[0].content) + '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
{%- set content = text_of(message.content) %}
{%- if message.role == 'user' %}
{{- '<|im_start|>user\n' + content }}
{%- if enable_thinking is defined and enable_thinking %}{{- ' /think' }}{%- endif %}
{{- '<|im_end|>\n' }}
{%- elif message.role in ['system', 'developer'] and not loop.first %}
{{- '<|im_start|>system\n' + content + '<|im_end|>\n' }}
{%- elif message.role == 'assistant' %}
{%- if '</think>' in content %}{%- set content = content.split('</think>')[-1].lstrip('\n') %}{%- endif %}
{{- '<|im_start|>assistant\n' + content }}
{%- if message.tool_calls %}
{%- for tool_call in message.tool_calls %}
{%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
{%- if content or not loop.first %}{{- '\n' }}{%- endif %}
{{- '<tool_call>\n{"name": "' + tool_call.name + '", "arguments": ' }}
{{- tool_call.arguments if tool_call.arguments is string else tool_call.arguments | tojson }}
{{- '}\n</tool_call>' }}
{%- endfor %}
{%- endif %}
{{- '<|im_end|>\n' }}
{%- elif message.role == 'tool' %}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
{{- '\n<tool_response>\n' + content + '\n</tool_response>' }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\n' }}{%- endif %}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}
{%- endif %}"""

LLAMA3: Final = r"""{{- bos_token }}
{%- for message in messages %}
{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' + (message.content or '') | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"""

GEMMA: Final = r"""{{- bos_token }}
{%- set first = '' %}
{%- set rest = messages %}
{%- if messages[0].role == 'system' %}
{%- set first = messages[0].content + '\n\n' %}
{%- set rest = messages[1:] %}
{%- endif %}
{%- for message in rest %}
{{- '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' }}
{{- (first if loop.first else '') + message.content | trim + '<end_of_turn>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\n' }}{%- endif %}"""

HARMONY: Final = r"""{{- '<|start|>system<|message|>You are ChatGPT.\nReasoning: ' + (reasoning_effort or 'medium') }}
{{- '\n# Valid channels: analysis, commentary, final.<|end|>' }}
{%- set developer = messages[0].content if messages[0].role in ['system', 'developer'] else '' %}
{%- if developer or tools %}
{{- '<|start|>developer<|message|># Instructions\n\n' + developer }}
{%- if tools %}
{{- '\n\n# Tools\n\n## functions\n\nnamespace functions {\n' }}
{%- for tool in tools %}
{{- 'type ' + tool.function.name + ' = (_: ' + (tool.function.parameters | tojson) + ') => any;\n' }}
{%- endfor %}
{{- '}' }}
{%- endif %}
{{- '<|end|>' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'user' %}{{- '<|start|>user<|message|>' + message.content + '<|end|>' }}
{%- elif message.role == 'assistant' %}
{%- if message.tool_calls %}
{%- set call = message.tool_calls[0].function or message.tool_calls[0] %}
{{- '<|start|>assistant to=functions.' + call.name + '<|channel|>commentary json<|message|>' }}
{{- (call.arguments if call.arguments is string else call.arguments | tojson) + '<|call|>' }}
{%- else %}{{- '<|start|>assistant<|channel|>final<|message|>' + (message.content or '') + '<|end|>' }}
{%- endif %}
{%- elif message.role == 'tool' %}
{{- '<|start|>functions.tool to=assistant<|channel|>commentary<|message|>' + message.content + '<|end|>' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{%- endif %}"""


_SHOWN: Final = (
    "{%- macro shown(content, picture) -%}"
    "{%- if content is string %}{{- content }}"
    "{%- else %}{%- for part in content %}"
    "{%- if part.type == 'image' %}{{- picture }}{%- else %}{{- part.text }}{%- endif %}"
    "{%- endfor %}{%- endif %}"
    "{%- endmacro -%}"
)
GEMMA_SEEING: Final = _SHOWN + GEMMA.replace(
    "messages[0].content + '\\n\\n'", "shown(messages[0].content, '') + '\\n\\n'"
).replace("message.content | trim", "shown(message.content, '<start_of_image>') | trim")
GEMMA4: Final = r"""{{- bos_token }}
{%- for message in messages %}
{{- '<|turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' }}
{%- if message.content is string %}{{- message.content | trim }}
{%- else %}{%- for part in message.content %}
{%- if part.type == 'image' %}{{- '\n\n<|image|>\n\n' }}
{%- elif part.type == 'audio' %}{{- '<|audio|>' }}
{%- elif part.type == 'video' %}{{- '\n\n<|video|>\n\n' }}
{%- else %}{{- part.text | trim }}{%- endif %}
{%- endfor %}{%- endif %}
{{- '<turn|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|turn>model\n' }}{%- endif %}"""
SMOLVLM: Final = (
    _SHOWN
    + r"""{{- bos_token }}
{%- for message in messages %}
{{- message.role | capitalize + ': ' + shown(message.content, '<image>') + '<end_of_utterance>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- 'Assistant:' }}{%- endif %}"""
)


def environment() -> jinja2.Environment:
    """Make a template environment that renders as transformers does, without importing it."""
    env = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    env.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    return env


def render(
    template: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None, **known: Any
) -> str:
    """Render a prompt up to where the assistant speaks."""
    compiled = environment().from_string(template)
    return compiled.render(messages=messages, tools=tools, add_generation_prompt=True, **known)
