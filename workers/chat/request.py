"""Say what every dialect translates a body into."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from mlxd.protocol.generation import Overflow
from mlxd.workers.chat.content import MediaPart, pieces
from mlxd.workers.chat.output_format import OutputFormat
from mlxd.workers.engine.request import Sampling


class Role(StrEnum):
    """Who speaks in a turn; "developer" is a system turn."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class PastCall:
    """Hold a call the assistant made in an earlier turn."""

    id: str | None
    name: str
    arguments: str
    """The string of JSON as the model wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Hold one message, whatever dialect it came in."""

    role: Role
    text: str = ""
    images: tuple[MediaPart, ...] = ()
    """Pictures and films, each with its place in the text."""
    name: str | None = None
    reasoning: str | None = None
    calls: tuple[PastCall, ...] = ()
    call_id: str | None = None
    """Of a tool turn: the call it answers."""

    @property
    def pieces(self) -> list[str | MediaPart]:
        """What it says, in the order it stands."""
        return pieces(self.text, self.images)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """Describe a function the model may call."""

    name: str
    description: str | None = None
    parameters: Mapping[str, object] | None = None
    """JSON schema of the arguments."""
    strict: bool = False
    """Calls of this tool have arguments that validate, also where the model decides to call by itself."""
    field: str = "tools"
    """Name of the request field that holds the schema; a refusal names it."""

    def for_template(self) -> dict[str, object]:
        """Return the tool the way chat templates take it."""
        function: dict[str, object] = {"name": self.name, "description": self.description or ""}
        function["parameters"] = self.parameters or {"type": "object", "properties": {}}
        return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True, kw_only=True)
class MustCall:
    """Demand that the answer is a call; its arguments validate."""

    name: str | None = None
    """The one tool to call, once; None: any of the tools."""
    field: str = "tool_choice"
    """Name of the request field that demands it; a refusal names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """Say how to continue a prompt, chat or not."""

    sampling: Sampling = Sampling()
    max_tokens: int | None = None
    """None: as many as the window still holds."""
    stops: tuple[str, ...] = ()
    logprobs: int | None = None
    choices: int = 1
    ignore_eos: bool = False
    output: OutputFormat | None = None
    """What the visible text must look like; None: anything. Calls and reasoning are apart from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """Ask for the next turn of a conversation."""

    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    """What the model may call now: none where the caller wants no call."""
    must_call: MustCall | None = None
    """None: the model decides whether it calls."""
    parallel_calls: bool = True
    thinking_budget: int | None = None
    """Tokens of reasoning at most; None: as many as the answer may have."""
    prefill: str = ""
    """How the answer begins; what the model writes goes on from there."""
    template_options: Mapping[str, object] = field(default_factory=dict)
    overflow: Overflow | None = None
    """What is done where it is too long; None: what the model's entry says."""
    controls: Controls = Controls()


def headed(request: ChatRequest, system_prompt: str | None) -> ChatRequest:
    """Return the request with the model's own system prompt where the conversation has none, not even an empty one."""
    if system_prompt is None or any(turn.role is Role.SYSTEM for turn in request.turns):
        return request
    return replace(request, turns=(Turn(role=Role.SYSTEM, text=system_prompt), *request.turns))


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """Ask for plain continuations of prompts, each a string or token ids."""

    prompts: tuple[str | tuple[int, ...], ...]
    controls: Controls = Controls()
