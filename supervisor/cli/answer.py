"""Print one streamed chat answer as it comes."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

from mlxd.protocol.sse import DONE, Parser
from mlxd.supervisor.cli.client import refusal
from mlxd.supervisor.cli.failure import Failure
from mlxd.supervisor.cli.session import Session

_LAST = next(Parser().feed(DONE))[1]


class Answer:
    """Ask for an answer and write it; `text` holds what has come so far."""

    def __init__(self, session: Session, body: Mapping[str, Any]) -> None:
        self._session = session
        self._body = {**body, "stream": True}
        self._thinking = False
        self.text = ""

    def show(self) -> None:
        """Write the answer to its end; raises Failure where it broke off."""
        try:
            with closing(self._session.client.stream("/v1/chat/completions", self._body)) as events:
                if not self._show_all(events):
                    raise Failure("the answer broke off", code="broken_stream")
        finally:
            if self.text or self._thinking:
                self._session.out.sentence("")

    def _show_all(self, events: Iterator[bytes]) -> bool:
        for data in events:
            if data == _LAST:
                return True
            self._show_chunk(json.loads(data))
        return False

    def _show_chunk(self, chunk: Mapping[str, Any]) -> None:
        if "error" in chunk:
            raise refusal(chunk["error"])
        for choice in chunk.get("choices", []):
            delta = choice.get("delta", {})
            if thought := delta.get("reasoning_content"):
                self._show_thought(thought)
            if text := delta.get("content"):
                self._show_text(text)

    def _show_thought(self, text: str) -> None:
        # Thinking is for people to watch; a pipe gets the answer alone.
        if sys.stdout.isatty():
            self._thinking = True
            self._session.out.piece(text, dim=True)

    def _show_text(self, text: str) -> None:
        if self._thinking:
            self._thinking = False
            self._session.out.sentence("\n")
        self.text += text
        self._session.out.piece(text)
