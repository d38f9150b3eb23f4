"""Split the text of an answer into visible text, reasoning and tool calls, however it is cut into chunks.

Held back are only bytes that may still become a marker, and white space that goes away where a marker follows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from mlxd.workers.chat.tools import ParsedCall

ParseCalls = Callable[[str], tuple[ParsedCall, ...] | None]
"""Read what stands between the markers of a call; None where it is malformed."""


class Kind(Enum):
    """What a piece of the model's text is."""

    TEXT = auto()
    REASONING = auto()
    CALLS = auto()


@dataclass(frozen=True, slots=True)
class Piece:
    """Hold a stretch of one kind; `start` counts characters of the model's text."""

    kind: Kind
    text: str
    start: int
    calls: tuple[ParsedCall, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Markup:
    """Name the markers of one model; an empty start means that it has none of this kind."""

    think_start: str = ""
    think_end: str = ""
    tool_start: str = ""
    tool_end: str = ""
    """Empty where a call ends with the answer."""


class Splitter:
    """Turn chunks of one answer into pieces; a `parse` of None leaves tool markers in the text."""

    def __init__(
        self,
        markup: Markup,
        *,
        parse: ParseCalls | None = None,
        reasoning: bool = False,
        midway: bool = False,
    ) -> None:
        self._markup = markup
        self._parse = parse if markup.tool_start else None
        self._kind = Kind.REASONING if reasoning else Kind.TEXT
        self._held = ""
        self._position = 0
        """Where `_held` starts in the model's text."""
        # White space at the very beginning belongs to the markers, unless the text began before this answer.
        self._skip_space = bool(markup.think_start) and not midway
        self._fresh = True
        """Nothing of this block of reasoning was seen yet."""
        self._body = 0
        self._scanned = 0

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
        """Return what is still held; a call without its end counts only where the model ended by itself."""
        pieces: list[Piece] = []
        if self._kind is Kind.CALLS:
            whole = complete or not self._markup.tool_end
            self._close_calls(pieces, self._held[self._body :] if whole else None, len(self._held))
        elif self._kind is Kind.REASONING:
            self._emit(pieces, len(self._held.rstrip()))
        else:
            self._emit(pieces, len(self._held))
        self._drop(len(self._held))
        return pieces

    def _advance(self, pieces: list[Piece]) -> bool:
        if self._kind is Kind.CALLS:
            return self._read_calls(pieces)
        markers = self._markers()
        at, marker = _first(self._held, markers)
        if at < 0:
            self._emit(pieces, len(self._held) - self._undecided(markers))
            return False
        if self._kind is Kind.REASONING:
            self._leave_reasoning(pieces, at, marker)
        elif marker == self._markup.tool_start:
            self._emit(pieces, len(self._held[:at].rstrip()))
            space = len(self._held) - len(self._held.lstrip())
            self._kind = Kind.CALLS
            self._body = self._scanned = space + len(marker)
        else:
            self._emit(pieces, at)
            self._drop(len(marker))
            self._kind, self._fresh, self._skip_space = Kind.REASONING, True, True
        return True

    def _markers(self) -> tuple[str, ...]:
        markup = self._markup
        if self._kind is Kind.REASONING:
            # A model may open the block again that its prompt has opened already.
            return (markup.think_end, markup.think_start) if self._fresh else (markup.think_end,)
        found = (markup.think_start, markup.tool_start if self._parse else "")
        return tuple(marker for marker in found if marker)

    def _leave_reasoning(self, pieces: list[Piece], at: int, marker: str) -> None:
        self._emit(pieces, len(self._held[:at].rstrip()))
        if marker == self._markup.think_end:
            self._drop(len(self._held) - len(self._held.lstrip()) + len(marker))
            self._kind, self._skip_space = Kind.TEXT, True
        elif self._fresh:
            self._drop(len(self._held) - len(self._held.lstrip()) + len(marker))

    def _read_calls(self, pieces: list[Piece]) -> bool:
        end = self._markup.tool_end
        at = self._held.find(end, self._scanned) if end else -1
        if at < 0:
            self._scanned = max(self._body, len(self._held) - len(end) + 1)
            return False
        self._close_calls(pieces, self._held[self._body : at], at + len(end))
        return True

    def _close_calls(self, pieces: list[Piece], body: str | None, length: int) -> None:
        parse = self._parse
        calls = parse(body) if body is not None and parse is not None else None
        self._kind = Kind.TEXT
        if calls is None:
            self._emit(pieces, length)
        else:
            pieces.append(Piece(Kind.CALLS, self._held[:length], self._position, calls))
            self._drop(length)
            self._skip_space = True

    def _undecided(self, markers: tuple[str, ...]) -> int:
        """Return how many characters at the end may still become or precede a marker."""
        held = self._held
        partial = max((overlap(held, marker) for marker in markers), default=0)
        if self._parse is None and self._kind is Kind.TEXT:
            return partial
        rest = held[: len(held) - partial]
        return partial + len(rest) - len(rest.rstrip())

    def _emit(self, pieces: list[Piece], length: int) -> None:
        if length <= 0:
            return
        text = self._held[:length]
        start = self._position
        if self._skip_space:
            text = text.lstrip()
            start += length - len(text)
        if text:
            self._skip_space = self._fresh = False
            pieces.append(Piece(self._kind, text, start))
        self._drop(length)

    def _drop(self, length: int) -> None:
        self._held = self._held[length:]
        self._position += length


def _first(text: str, markers: tuple[str, ...]) -> tuple[int, str]:
    """Return the first marker in the text and where it is; the longer one where two start together."""
    best = (-1, "")
    for marker in markers:
        at = text.find(marker)
        if at >= 0 and (best[0] < 0 or (at, -len(marker)) < (best[0], -len(best[1]))):
            best = (at, marker)
    return best


def overlap(text: str, marker: str) -> int:
    """Return the length of the longest end of `text` that is a beginning of `marker`."""
    at = text.find(marker[0], max(0, len(text) - len(marker) + 1))
    while at >= 0:
        if marker.startswith(text[at:]):
            return len(text) - at
        at = text.find(marker[0], at + 1)
    return 0
