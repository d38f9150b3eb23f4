"""Hold what other programs have to be told to use this daemon: one function per program."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

CONTAINER_HOST = "host.docker.internal"
"""What a container calls the machine it runs on."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
NO_KEY = "none"
"""Programs insist on a key; a daemon without keys takes any."""


@dataclass(frozen=True)
class Target:
    """Where the daemon is, and what to ask it for."""

    url: str
    model: str
    key: str = NO_KEY
    context_length: int = 32768
    images: bool = False

    def from_container(self) -> "Target":
        """Return the same daemon as a container on this machine sees it."""
        parts = urlsplit(self.url)
        if parts.hostname not in _LOOPBACK:
            return self
        where = f"{CONTAINER_HOST}:{parts.port}" if parts.port else CONTAINER_HOST
        moved = parts._replace(netloc=where).geturl()
        return Target(moved, self.model, self.key, self.context_length, self.images)


@dataclass(frozen=True)
class Snippet:
    """Name the place and the language of a text."""

    language: str
    place: str
    """The file it belongs into, or what it is."""
    write: Callable[[Target], str]
    containers: bool = False
    """Whether the program usually runs in a container."""


def openai(to: Target) -> str:
    """Return a program for OpenAI's SDK."""
    return f"""\
from openai import OpenAI

client = OpenAI(base_url={_text(to.url + "/v1")}, api_key={_text(to.key)})
answer = client.chat.completions.create(
    model={_text(to.model)},
    messages=[{{"role": "user", "content": "Hello!"}}],
)
print(answer.choices[0].message.content)
"""


def anthropic(to: Target) -> str:
    """Return a program for Anthropic's SDK."""
    return f"""\
from anthropic import Anthropic

client = Anthropic(base_url={_text(to.url)}, api_key={_text(to.key)})
answer = client.messages.create(
    model={_text(to.model)},
    max_tokens=200,
    messages=[{{"role": "user", "content": "Hello!"}}],
)
print("".join(block.text for block in answer.content if block.type == "text"))
"""


def claude_code(to: Target) -> str:
    """Return the environment of Claude Code; it asks for small models by other names."""
    return f"""\
export ANTHROPIC_BASE_URL={_word(to.url)}
export ANTHROPIC_AUTH_TOKEN={_word(to.key)}
export ANTHROPIC_MODEL={_word(to.model)}
export ANTHROPIC_DEFAULT_OPUS_MODEL={_word(to.model)}
export ANTHROPIC_DEFAULT_SONNET_MODEL={_word(to.model)}
export ANTHROPIC_DEFAULT_HAIKU_MODEL={_word(to.model)}
claude
"""


def codex(to: Target) -> str:
    """Return a model provider for Codex."""
    key = "" if to.key == NO_KEY else 'env_key = "MLXD_API_KEY"\n'
    return f"""\
model = {_text(to.model)}
model_provider = "mlxd"
model_context_window = {to.context_length}

[model_providers.mlxd]
name = "mlxd"
base_url = {_text(to.url + "/v1")}
wire_api = "responses"
{key}"""


def litellm(to: Target) -> str:
    """Return LiteLLM's list of models."""
    return f"""\
model_list:
  - model_name: {_text(to.model)}
    litellm_params:
      model: {_text("openai/" + to.model)}
      api_base: {_text(to.url + "/v1")}
      api_key: {_text(to.key)}
"""


def open_webui(to: Target) -> str:
    """Return what starts Open WebUI on the daemon."""
    return f"""\
docker run -d --name open-webui -p 127.0.0.1:3000:8080 \\
  --add-host={CONTAINER_HOST}:host-gateway \\
  -e OPENAI_API_BASE_URL={_word(to.url + "/v1")} \\
  -e OPENAI_API_KEY={_word(to.key)} \\
  -e ENABLE_OLLAMA_API=false \\
  -v open-webui:/app/backend/data \\
  ghcr.io/open-webui/open-webui:main
"""


def continue_dev(to: Target) -> str:
    """Return a configuration of Continue's."""
    return f"""\
name: mlxd
version: 1.0.0
schema: v1
models:
  - name: {_text(to.model)}
    provider: openai
    model: {_text(to.model)}
    apiBase: {_text(to.url + "/v1")}
    apiKey: {_text(to.key)}
    roles: [chat, edit, apply]
    defaultCompletionOptions:
      contextLength: {to.context_length}
"""


def zed(to: Target) -> str:
    """Return a provider for Zed, which takes its key from MLXD_API_KEY or from its own dialogue."""
    model = {
        "name": to.model,
        "display_name": f"{to.model} (mlxd)",
        "max_tokens": to.context_length,
        "capabilities": {
            "tools": True,
            "images": to.images,
            "parallel_tool_calls": False,
            "prompt_cache_key": False,
        },
    }
    provider = {"api_url": f"{to.url}/v1", "available_models": [model]}
    settings = {"language_models": {"openai_compatible": {"mlxd": provider}}}
    return json.dumps(settings, indent=2, ensure_ascii=False) + "\n"


def curl(to: Target) -> str:
    """Return a request by hand."""
    body = {"model": to.model, "messages": [{"role": "user", "content": "Hello!"}]}
    return f"""\
curl {_word(to.url + "/v1/chat/completions")} \\
  -H {_word("authorization: Bearer " + to.key)} \\
  -H 'content-type: application/json' \\
  -d {_word(json.dumps(body, ensure_ascii=False))}
"""


SNIPPETS: Mapping[str, Snippet] = {
    "openai": Snippet("python", "a program that uses OpenAI's SDK", openai),
    "anthropic": Snippet("python", "a program that uses Anthropic's SDK", anthropic),
    "claude-code": Snippet("shell", "the shell that starts claude", claude_code),
    "codex": Snippet("toml", "~/.codex/config.toml", codex),
    "litellm": Snippet("yaml", "LiteLLM's config.yaml", litellm),
    "open-webui": Snippet("shell", "a shell", open_webui, containers=True),
    "continue": Snippet("yaml", "~/.continue/config.yaml", continue_dev),
    "zed": Snippet("json", "~/.config/zed/settings.json", zed),
    "curl": Snippet("shell", "a shell", curl),
}


def _text(value: str) -> str:
    """Return a string that Python, TOML, YAML and JSON read alike."""
    return json.dumps(value, ensure_ascii=False)


def _word(value: str) -> str:
    """Return one word for a shell."""
    import shlex

    return shlex.quote(value)
