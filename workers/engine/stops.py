"""Find stop strings in text that comes in pieces."""

from collections.abc import Sequence


class StopStrings:
    """Pass text on up to the first stop string, and hold back only what may become one.

    The result does not depend on how the text is cut: the stop string that is complete first wins, and of several that
    are complete at the same character the longest.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""
        self.hit: str | None = None
        """The stop string that ended the text."""

    def feed(self, text: str) -> tuple[str, bool]:
        """Return the text that is safe to show now, and whether a stop string ended it; nothing comes after that."""
        if self.hit is not None:
            return "", True
        text = self._held + text
        found = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            end, start = min(found)
            self.hit, self._held = text[start:end], ""
            return text[:start], True
        keep = self._unsure(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], False

    def finish(self) -> str:
        """Return what is still held, now that nothing follows."""
        held, self._held = self._held, ""
        return held

    def _unsure(self, text: str) -> int:
        """Return the length of the longest end of the text with which some stop string begins."""
        for size in range(min(self._longest - 1, len(text)), 0, -1):
            if any(stop.startswith(text[-size:]) for stop in self._stops):
                return size
        return 0
