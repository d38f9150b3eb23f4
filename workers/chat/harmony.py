"""Split the text of models that answer in channels (OpenAI's harmony format, as gpt-oss writes it).

A message is `<|start|>assistant<|channel|>NAME<|message|>BODY<|end|>`. The channel `analysis` is reasoning, a recipient
`to=functions.NAME` makes the body the arguments of a call, everything else is for the user to read.
"""

import re
from collections.abc import Set

from mlxd.workers.chat.markup import Kind, Piece, overlap
from mlxd.workers.chat.tools import ParsedCall, arguments_text

BODY = "<|message|>"
ANSWER = f"<|channel|>final{BODY}"
"""The header of what the user reads."""
_ENDS = ("<|end|>", "<|call|>", "<|return|>", "<|start|>")
_OPENINGS = (*_ENDS, "<|channel|>", BODY, " to=")
_RECIPIENT = re.compile(r"to=functions\.([\w.-]+)")
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)")


class HarmonySplitter:
    """Turn chunks of one answer into pieces; the prompt has ended with `<|start|>assistant`, or `midway` in a text."""

    def __init__(self, functions: Set[str], *, midway: bool = False) -> None:
        self._functions = functions
        """What may be called; a call of anything else stays text."""
        self._kind: Kind | None = Kind.TEXT if midway else None
        """None inside a header."""
        self._callee: str | None = None
        self._held = ""
        self._position = 0

    @property
    def in_reasoning(self) -> bool:
        """Say whether the next token counts as reasoning."""
        return self._kind is Kind.REASONING

    def feed(self, text: str) -> list[Piece]:
        """Return the pieces that `text` settles."""
        self._held += text
        pieces: list[Piece] = []
        while self._advance(pieces):
            pass
        return pieces

    def finish(self, *, complete: bool) -> list[Piece]:
        """Return what is still held; a call counts only where the model ended by itself."""
        pieces: list[Piece] = []
        if self._kind is Kind.CALLS:
            self._close_call(pieces, len(self._held), whole=complete)
        elif self._kind is not None:
            self._emit(pieces, len(self._held))
        self._drop(len(self._held))
        return pieces

    def _advance(self, pieces: list[Piece]) -> bool:
        if self._kind is None:
            return self._read_header()
        found = [at for end in _ENDS if (at := self._held.find(end)) >= 0]
        if not found:
            if self._kind is not Kind.CALLS:
                held = max(overlap(self._held, end) for end in _ENDS)
                self._emit(pieces, len(self._held) - held)
            return False
        at = min(found)
        if self._kind is Kind.CALLS:
            self._close_call(pieces, at, whole=True)
        else:
            self._emit(pieces, at)
        self._kind = None
        return True

    def _read_header(self) -> bool:
        held = self._held
        if not any(held.startswith(opening) for opening in _OPENINGS):
            if any(opening.startswith(held) for opening in _OPENINGS):
                return False
            # No header where one belongs: a model that was not taught to write them.
            self._kind, self._callee = Kind.TEXT, None
            return True
        at = held.find(BODY)
        if at < 0:
            return False
        self._drop(at + len(BODY))
        self._kind, self._callee = self._read_kind(held[:at])
        return True

    def _read_kind(self, header: str) -> tuple[Kind, str | None]:
        callee = _RECIPIENT.search(header)
        if callee is not None and callee[1] in self._functions:
            return Kind.CALLS, callee[1]
        channels = _CHANNEL.findall(header)
        return (Kind.REASONING if channels[-1:] == ["analysis"] else Kind.TEXT), None

    def _close_call(self, pieces: list[Piece], length: int, *, whole: bool) -> None:
        body = self._held[:length]
        arguments = _arguments(body) if whole else None
        if arguments is None or self._callee is None:
            self._kind = Kind.TEXT
            self._emit(pieces, length)
            return
        call = ParsedCall(self._callee, arguments)
        pieces.append(Piece(Kind.CALLS, body, self._position, (call,)))
        self._drop(length)

    def _emit(self, pieces: list[Piece], length: int) -> None:
        if length > 0 and self._kind is not None:
            pieces.append(Piece(self._kind, self._held[:length], self._position))
            self._drop(length)

    def _drop(self, length: int) -> None:
        self._held = self._held[length:]
        self._position += length


def _arguments(body: str) -> str | None:
    try:
        return arguments_text(body.strip())
    except (ValueError, RecursionError):
        return None
