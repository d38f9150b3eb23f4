"""Stand in for a detokenizer: the n-th token's text is what the test says."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class ScriptedText:
    """Read token n as the n-th chunk; hold every third back until the next one, as a broken character would be."""

    chunks: Sequence[str]
    held: str = ""

    def add(self, token: int) -> str:
        """Return the text this token settles."""
        text, self.held = self.held + self.chunks[token], ""
        if token % 3 == 2:
            text, self.held = "", text
        return text

    def finish(self) -> str:
        """Return what is still held."""
        text, self.held = self.held, ""
        return text
