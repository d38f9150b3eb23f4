"""Hold what a request demands of an answer, before it is put in the terms of one model's format."""

from dataclasses import dataclass
from enum import Enum, auto

from mlxd.workers.chat.request import Tool


class Thinking(Enum):
    """Where the rendered prompt leaves reasoning."""

    MAY_OPEN = auto()
    """The model is asked to reason and opens the block itself, if it follows."""
    UNASKED = auto()
    """The prompt says nothing of reasoning; the model may open a block all the same."""
    IS_OPEN = auto()
    """The prompt has opened it; the answer begins inside."""
    IS_CLOSED = auto()
    """The prompt has opened and closed it: no reasoning is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """Say what the answer is made of; a tool in `tools` may be called."""

    thinking: Thinking
    output: str | None = None
    """Lark expression for the visible text; None: any text."""
    tools: tuple[Tool, ...] = ()
    must_call: str | None = None
    """Name of the request field that demands a call; None: text will do as well."""
    many_calls: bool = True

    @property
    def is_free(self) -> bool:
        """Whether any text will do, so that only calls are held to anything."""
        return self.output is None and self.must_call is None
